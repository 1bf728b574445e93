"""A question outlives worker and server, with the processes that people have."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from boards import Board
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from servers import free_port, kill_tree
from trees import ROOT

from flows.services.waiting import wait_for
from roadseg.contracts.files import home
from roadseg.registry import ledger

pytestmark = pytest.mark.soak
Start = Callable[..., "subprocess.Popen[bytes]"]


def started(background: Start, folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """A command of Prefect, which logs to `folder`."""
    settings = {
        **os.environ,
        "PREFECT_HOME": str(folder),
        "ROADSEG_HOME": str(home()),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    with (folder / f"{words[0]}.log").open("ab") as log:
        # a shell that starts things in the background leaves SIGINT ignored, and such a worker never ends
        command = ["env", "--default-signal=INT,QUIT", sys.executable, "-m", "prefect", *words]
        return background(command, env=settings, cwd=folder, stdout=log, stderr=log)


def wait_until(prefect: SyncPrefectClient, run_id: UUID, name: str, log: Path) -> None:
    deadline = time.monotonic() + 300
    while (found := prefect.read_flow_run(run_id)).state_name != name:
        assert time.monotonic() < deadline, f"{found.state_name}: {log.read_text()[-3000:]}"
        time.sleep(1)


def test_a_question_outlives_worker_and_server_and_the_answer_reaches_the_next_worker(
    empty_store: Path, empty_prefect: Path, tmp_path: Path, background: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, port = tmp_path / "prefect-of-people", str(free_port())
    folder.mkdir()
    shutil.copy2(empty_prefect, folder)
    url = f"http://127.0.0.1:{port}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    serve = ("server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui")
    work = ("worker", "start", "--pool", "pool", "--type", "process")
    tree = tmp_path / "tree"
    tree.mkdir()
    monkeypatch.chdir(tree)
    server = started(background, folder, *serve)
    wait_for(f"{url}/health", lambda: server.poll() is not None, folder / "server.log")
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as prefect:
        board = Board(tmp_path, tmp_path / "made", empty_store, prefect)
        board.policy(approval=True)
        (tree / "flows").symlink_to(ROOT / "flows")
        prefect.create_work_pool(WorkPoolCreate(name="pool", type="process"))
        deployment = prefect.create_deployment(
            prefect.create_flow_from_name("promote"),
            "promote",
            entrypoint="flows/promote.py:promote",
            path=str(tree),
            work_pool_name="pool",
        )
        worker = started(background, folder, *work)
        asked = prefect.create_flow_run_from_deployment(deployment, parameters={"version": 2, "requester": "ann"}).id
        wait_until(prefect, asked, "Suspended", folder / "worker.log")
        [question] = ledger.ledger_entries(board.client)
        assert (question.kind, question.tags["flow_run"]) == ("asked", str(asked))
        worker.terminate()
        assert worker.wait(60) is not None
        kill_tree(server)
        server = started(background, folder, *serve)
        wait_for(f"{url}/health", lambda: server.poll() is not None, folder / "server.log")
        answer = {"decision": "promote", "reason": "looks right at night", "approver": "bea"}
        assert board.answer(asked, **answer) == "ACCEPT"
        assert board.champion is None
        worker = started(background, folder, *work)
        wait_until(prefect, asked, "Completed", folder / "worker.log")
        assert board.champion == 2
        entry = ledger.ledger_entries(board.client)[0]
        assert (entry.tags["requester"], entry.tags["approver"], entry.tags["state"]) == ("ann", "bea", "done")
        assert len(ledger.ledger_entries(board.client)) == 2
        worker.terminate()
        worker.wait(60)
        kill_tree(server)

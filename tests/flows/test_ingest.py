"""The ingest flow beside a real server, git and DVC: what it takes is versioned, pushed and told of, once."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from inboxes import put_drive
from prefect.client.schemas.objects import State
from trees import run
from workspace_project import git, give_remotes

from flows import ingest as flow
from flows import run as runs
from flows import turn
from flows.options import RetrainOptions, check
from flows.services.server import prefect_server
from roadseg.contracts.errors import UsageError
from roadseg.intake.inbox.options import Inbox
from roadseg.workspace.data_branch import BRANCH
from roadseg.workspace.records import read_records
from roadseg.workspace.remote import Committed

SCRIPT = """
from flows.ready import make_ready
make_ready()
from flows.ingest import ingest
from roadseg.contracts.errors import UsageError
from roadseg.intake.inbox.options import Inbox
ingest(Inbox(folder={folder!r}, quiet=0.0))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_prefect: Path) -> Iterator[str]:
    """A Prefect server for all tests here."""
    folder = tmp_path_factory.mktemp("prefect")
    shutil.copy2(empty_prefect, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder))
        patch.delenv("PREFECT_API_URL", raising=False)
        with prefect_server(folder / "log") as url:
            yield url


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Events that were emitted, and messages that were sent, in place of both."""
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(runs, "emit_event", lambda event, **told: heard.append({"event": event, **told["payload"]}))
    monkeypatch.setattr(flow, "tell", lambda kind, title, **told: heard.append({"kind": kind, "title": title, **told}))
    return heard


@pytest.fixture
def tree(imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a remote of git and one of DVC."""
    checkout = Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))
    give_remotes(checkout)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    return checkout


def look(folder: Path) -> State[Any]:
    state: State[Any] = flow.ingest(Inbox(folder=str(folder), quiet=0.0), return_state=True)
    return state


def killed_look(tree: Path, folder: Path, home: Path, server: str, point: str) -> bool:
    env = {"ROADSEG_HOME": str(home), "PREFECT_API_URL": server, "ROADSEG_FAILPOINT": point}
    done = run(tree, sys.executable, "-c", SCRIPT.format(folder=str(folder)), check=False, **env)
    return done.returncode == (-9 if point.startswith("ingest:") else 1)  # else the process that judges is killed


def files_of(tree: Path, revision: str) -> dict[str, str]:
    """Digests of the data that a revision names, by path."""
    md5 = yaml.safe_load(git(tree, "show", f"{revision}:data/raw.dvc"))["outs"][0]["md5"]
    listed = json.loads((tree / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").read_text())
    return {entry["relpath"]: entry["md5"] for entry in listed}


POINTS = [
    "ingest:advanced",
    *(pytest.param(point, marks=pytest.mark.soak) for point in flow.FAILPOINTS if point != "ingest:advanced"),
    *(pytest.param(point, marks=pytest.mark.soak) for point in ("inbox:begun", "add:moved", "add:merged")),
]


@pytest.mark.parametrize("point", POINTS)
def test_drives_are_versioned_pushed_and_told_of_once_also_where_a_look_is_killed(
    tree: Path, tmp_path: Path, server: str, told: list[dict[str, Any]], point: str
) -> None:
    folder, before, status = tmp_path / "arrives/new", files_of(tree, "main"), git(tree, "status", "--porcelain")
    put_drive(put_drive(folder / "monday", "train/77", seed=77), "train/78", seed=78, bad=True)
    assert killed_look(tree, folder, tmp_path / "home", server, point)
    taken = look(folder)
    assert (taken.name, taken.is_completed()) == ("Taken", True)

    assert git(tree, "rev-parse", BRANCH) == git(tmp_path / "remote.git", "rev-parse", BRANCH)
    assert git(tree, "log", "--format=%s", f"main..{BRANCH}") == "Take train/77"
    after = files_of(tree, BRANCH)
    assert {path for path in after if path not in before} == {
        f"{kind}/train/77/{frame}_{name}"
        for kind, name in (("leftImg8bit", "image.jpg"), ("gtFine", "label.png"))
        for frame in range(2)
    }
    assert before.items() <= after.items()
    stored = tmp_path / "store/files/md5"
    assert all((stored / md5[:2] / md5[2:]).is_file() for md5 in after.values())
    assert git(tree, "status", "--porcelain") == status
    assert not (tree / "data/raw/leftImg8bit/train/77").exists()

    event, message = told
    assert (event["event"], event["drives"]) == ("roadseg.dataset.changed", ["train/77"])
    assert event["revision"] == git(tree, "rev-parse", BRANCH)
    assert (message["kind"], message["title"]) == ("refused", "ingest: took train/77, refused train/78")
    assert "ids outside idd-level1: 99" in message["reason"]
    assert read_records(1)[0].name == "took train/77, refused train/78"
    nothing = look(folder)
    assert (nothing.name, nothing.message) == ("Skipped", f"nothing new in {folder}")
    assert len(told) == 2


@pytest.mark.soak
def test_a_look_while_another_run_works_leaves_all_for_the_next(
    tree: Path, tmp_path: Path, server: str, told: list[dict[str, Any]]
) -> None:
    from roadseg.workspace.lock import Holder, workspace_lock

    folder = tmp_path / "arrives/new"
    put_drive(folder / "monday", "train/77", seed=77)
    with workspace_lock(Holder("1", "retrain of tonight", 1, 0.0)):
        state = look(folder)
    assert state.name == "Skipped"
    assert str(state.message).startswith("in the way: retrain of tonight")
    assert look(folder).name == "Taken"
    assert [each.get("event") for each in told] == ["roadseg.dataset.changed"]


def test_an_event_s_words_fit_into_the_form_of_retrain(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"scan: {{dataset: {'d' * 300}}}\n")
    drives, emitting = [f"train/{number}{'n' * 90}" for number in range(flow.SHOWN)], Mock()
    flow.announce_change(emitting, tmp_path, Committed("c" * 40, BRANCH, True), drives)
    (_, resource), event = emitting.announce.call_args
    given = {"reason": f"the data changed: {event['summary']}", "requester": resource}
    assert check(RetrainOptions, given).reason.endswith(" ...")


def test_a_schedule_s_wrong_parameter_is_in_the_record(tree: Path, server: str) -> None:
    with pytest.raises(UsageError, match=r"inbox\.folder: String should match pattern"):
        flow.ingest({"folder": "inbox/new"})
    record = read_records(1)[0]
    assert (record.deployment, record.state) == ("ingest", "Failed")
    assert "inbox.folder" in record.problem


def test_a_look_that_fails_wakes_who_waits_and_leaves_all_for_the_next(
    tree: Path, tmp_path: Path, server: str, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Path) -> None:
        raise UsageError("the data are away")

    woken = list[str]()
    monkeypatch.setattr(turn, "wake_waiting", lambda: woken.append("look"))
    monkeypatch.setattr(flow, "bring_data", away)
    put_drive(tmp_path / "arrives/new/monday", "train/77", seed=77)
    state = look(tmp_path / "arrives/new")
    assert (state.is_failed(), "the data are away" in str(state.message)) == (True, True)
    assert woken == ["look"]


def test_without_an_inbox_a_look_says_where_one_may_be(tree: Path, server: str) -> None:
    state: State[Any] = flow.ingest(return_state=True)
    assert state.name == "Skipped"
    assert "no inbox: make" in str(state.message)

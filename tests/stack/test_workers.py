"""Two machines with a worker each, on one Prefect, one MLflow and one store of a team, at once."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import BUCKET, client_of
from inboxes import put_drive
from mlflow import MlflowClient
from team_stack import PREFECT_LOGIN, Stack, client_as
from trees import change_params, commit, run
from workspace_project import git

from roadseg.contracts.files import digest_file
from roadseg.registry import ledger
from roadseg.registry.versions import CHAMPION, MODEL, version_at
from roadseg.workspace.data_branch import BRANCH

UP, DOWN = (["python", "-m", "flows.services", word] for word in ("up", "down"))
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
PATIENCE = 1500.0  # seconds for two looks and two trainings of seconds on a busy machine
TAIL = 3000  # characters of a log


def asked(stack: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    """An answer of Prefect; a server that is busy is asked again."""
    for _ in range(5):
        status, said = stack.told(f"{stack.prefect}/{path}", "POST" if body is not None else "GET", PREFECT_LOGIN, body)
        if 0 < status < 500:
            break
        time.sleep(1)
    assert 200 <= status < 300, (path, status, said)
    return json.loads(said)


@pytest.fixture
def machines(stack: Stack, finished_checkout: Path, tmp_path: Path) -> Iterator[list[Path]]:
    """Two checkouts with homes and pools of their own, whose next trainings differ, with only a worker started each.

    They share DVC's remote, which is empty.
    """
    made, gate = [], stack.environment("gate")
    try:
        for seed, name in ((1, "first"), (2, "second")):  # the finished checkout has trained seed 0
            tree = Path(shutil.copytree(finished_checkout, tmp_path / name, symlinks=True))
            shutil.rmtree(tree / ".roadseg")
            change_params(tree, {"train": {"seed": seed}})
            run(tree, "dvc", "remote", "add", "-q", "-d", "store", f"s3://{BUCKET}/{prefix_of(tmp_path)}-dvc")
            commit(tree, "another seed, and a remote")
            made.append(tree)
            said = run(tree, *UP, **gate).stdout
            assert "starting a worker ..." in said
            assert not (tree / ".roadseg/mlflow/mlflow.db").exists()
        yield made
    finally:
        for tree in made:
            run(tree, *DOWN, check=False, **gate)


def prefix_of(folder: Path) -> str:
    """A name in the bucket that no other test has."""
    return f"workers-{folder.parent.name}-{folder.name}"


def deployment_of(stack: Stack, flow: str, tree: Path) -> str:
    wanted = {"flows": {"name": {"any_": [flow]}}}
    found = asked(stack, "deployments/filter", wanted)
    [name] = [each["id"] for each in found if each["name"].startswith(f"{flow}-{tree.name}-")]
    return str(name)


def ended(stack: Stack, deployments: list[str], end: float) -> list[dict[str, Any]]:
    """One run of each deployment, as soon as all have ended; what cannot end in time fails with what it said."""
    wanted = {"deployments": {"id": {"any_": deployments}}}
    while True:
        runs = [each for each in asked(stack, "flow_runs/filter", wanted) if each["state"]["type"] != "SCHEDULED"]
        if len({each["deployment_id"] for each in runs if each["state"]["type"] in OVER}) == len(deployments):
            break
        assert time.monotonic() < end, f"not ended in time: {[(each['name'], each['state']) for each in runs]}"
        time.sleep(2)  # Prefect tells nobody; what ends the test is what it says
    assert [each["state"]["type"] for each in runs] == ["COMPLETED"] * len(deployments), [
        (each["name"], each["state"]["name"], each["state"]["message"]) for each in runs
    ]
    return runs


def print_logs(stack: Stack, trees: list[Path]) -> None:
    """What a person wants to see of a failure."""
    for tree in trees:
        for log in sorted((tree / ".roadseg/services").glob("*.log")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-TAIL:]}")
    logs = asked(stack, "logs/filter", {"sort": "TIMESTAMP_ASC", "limit": 200, "logs": {"level": {"ge_": 30}}})
    print("--- warnings and errors of runs", *(each["message"][-TAIL:] for each in logs), sep="\n")


def raw_of(tree: Path) -> dict[str, str]:
    found = (path for path in (tree / "data/raw").rglob("*") if path.is_file())
    return {path.relative_to(tree).as_posix(): digest_file(path) for path in found}


@pytest.mark.soak
@pytest.mark.timeout(2 * PATIENCE)  # of the fixtures too: the stack, a finished checkout, two workers
def test_two_workers_take_one_delivery_train_and_register_at_once_and_leave_one_champion(
    stack: Stack, machines: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: MlflowClient = client_as(stack, "gate", monkeypatch)
    before = {version.version for version in client.search_model_versions(f"name = '{MODEL}'")}
    store, delivery = client_of(stack.store), put_drive(tmp_path / "monday", "train/77", seed=77)
    for path in (path for path in delivery.rglob("*") if path.is_file()):
        name = path.relative_to(delivery.parent).as_posix()
        store.put_object(Bucket=BUCKET, Key=f"{prefix_of(tmp_path)}/{name}", Body=path.read_bytes())
    ingests, retrains = ([deployment_of(stack, flow, tree) for tree in machines] for flow in ("ingest", "retrain"))
    inbox = {"folder": f"s3://{BUCKET}/{prefix_of(tmp_path)}", "quiet": 0, "patience": 0}
    end = time.monotonic() + PATIENCE
    try:
        for each in ingests:
            body = {"parameters": {"inbox": inbox}, "idempotency_key": each}
            asked(stack, f"deployments/{each}/create_flow_run", body)
        assert [each["state"]["name"] for each in ended(stack, ingests, end)] == ["Taken", "Taken"]
        ended(stack, retrains, end)  # the event that the data changed has started them
    except BaseException:
        print_logs(stack, machines)
        raise

    made = {version.version for version in client.search_model_versions(f"name = '{MODEL}'")} - before
    assert len(made) == 2
    champion = version_at(client, CHAMPION)
    assert str(champion) in made | before
    assert ledger.position(client) == champion
    assert not ledger.open_moves(client)
    assert ledger.BY_HAND not in {entry.kind for entry in ledger.ledger_entries(client)}

    assert len({git(tree, "show", f"{BRANCH}:data/raw.dvc") for tree in machines}) == 1
    third = tmp_path / "third"
    git(tmp_path, "clone", "-q", "-b", BRANCH, str(machines[1]), str(third))
    run(third, "dvc", "pull", "-q", "data/raw.dvc", **stack.environment("trainer"))
    held = [raw_of(tree / ".roadseg/workspace") for tree in machines]
    assert raw_of(third) == held[0] == held[1]
    sent = {path.name: digest_file(path) for path in delivery.rglob("*.*")}
    assert (
        sent.items() <= {name.rpartition("/")[2]: digest for name, digest in held[0].items() if "/77/" in name}.items()
    )

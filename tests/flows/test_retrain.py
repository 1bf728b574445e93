"""The deployment retrain on a real server, in a checkout in which everything has run."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import pytest
from servers import ask
from trees import change_params, command_environment, commit

from flows import work
from flows.retrain import retrain
from flows.services.deploy import make_deployments
from flows.services.environment import services_environment
from flows.turn import wake_waiting
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file
from roadseg.gate.decision import Decision
from roadseg.workspace.lock import Held, Holder, present_holder, workspace_lock
from roadseg.workspace.records import RunRecord, last_final, write_record
from tests.flows.served import Site

STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]
ASKED = {"overrides": {"evaluate": {"resamples": 100}}, "requester": "anna", "reason": "fewer draws"}


@pytest.fixture(scope="module")
def site(
    finished: Path, with_stores: Callable[[Path], Path], prefect_api: str, tmp_path_factory: pytest.TempPathFactory
) -> Site:
    tree = Path(shutil.copytree(finished, tmp_path_factory.mktemp("site") / "tree", symlinks=True))
    with_stores(tree)
    with chdir(tree), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_HOME", str(tree / ".roadseg"))
        patch.setenv("PREFECT_API_URL", prefect_api)
        env = services_environment()
        Path(env["SERVICES"]).mkdir(parents=True)
        [name] = [each["name"] for each in make_deployments(env) if each["name"].startswith("retrain")]
    return Site(prefect_api, tree, ask(f"{prefect_api}/deployments/name/retrain/{name}")["id"], env["ROADSEG_POOL"])


@pytest.fixture(scope="module")
def trained(site: Site) -> RunRecord:
    """The record of a run that asked for a parameter of evaluate, started as a worker starts it."""
    run = site.create(**ASKED)
    more = {"PREFECT_API_URL": site.api, "PREFECT_HOME": os.environ["PREFECT_HOME"], "PREFECT__FLOW_RUN_ID": run}
    env = command_environment(site.tree, **more)
    before = state_of(site.tree)
    command = [sys.executable, "-m", "flows.services.engine"]
    done = subprocess.run(command, cwd=site.tree, env=env, capture_output=True, text=True)
    assert site.look(run)["state"]["type"] == "COMPLETED", done.stdout + done.stderr
    assert state_of(site.tree) == before, "a person's checkout is not touched"
    return site.record(run)


def state_of(tree: Path) -> list[str]:
    """Branch, commit, index and files of a checkout, also those that git ignores, but for home and DVC's own state."""
    said = [
        git(tree, *words) for words in (["status", "--porcelain"], ["rev-parse", "HEAD"], ["branch", "--show-current"])
    ]
    files = [
        path
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not {".roadseg", ".dvc", ".git"} & {*path.relative_to(tree).parts}
    ]
    return [*said, *(f"{path} {digest_file(path)}" for path in files if "__pycache__" not in path.parts)]


def git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=tree, capture_output=True, text=True, check=True).stdout.strip()


def tasks_of(site: Site, run: str) -> dict[str, str]:
    found = ask(f"{site.api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return {task["name"]: task["state"]["name"] for task in found}


def test_a_run_works_in_the_workspace_and_commits_its_results_on_a_branch(site: Site, trained: RunRecord) -> None:
    assert trained.name == site.look(trained.run)["name"] == "promoted v1"
    assert {name: end for name, end in tasks_of(site, trained.run).items() if name in STAGES} == {
        **dict.fromkeys(STAGES, "Cached"),
        "evaluate": "Ran",
    }
    assert {name: stage["ended"] for name, stage in trained.stages.items()}["evaluate"] == "Ran"
    assert (trained.final, trained.outcome, trained.version, trained.requester) == (True, "PROMOTE", 1, "anna")
    assert trained.branch.startswith("roadseg/retrain/")
    assert trained.commit == git(site.tree, "rev-parse", trained.branch)
    assert "resamples: 100" in git(site.tree, "show", f"{trained.branch}:dvc.lock")
    for name in ("decision.json", "dvc.lock"):
        assert (site.home / "flows" / trained.run / name).is_file()
    assert not (site.tree / "reports/decision.json").exists()


def test_a_version_names_the_commit_with_the_parameters_it_was_made_with(site: Site, trained: RunRecord) -> None:
    with closing(sqlite3.connect(site.home / "mlflow/mlflow.db")) as database:
        tags = dict(database.execute("select key, value from model_version_tags where version = 1"))
    assert tags["git.dirty"] == "false"
    assert tags["git.commit"] == git(site.tree, "rev-parse", f"{trained.branch}^")
    assert "resamples: 100" in git(site.tree, "show", f"{tags['git.commit']}:params.yaml")
    assert "evaluate.resamples 1000 -> 100" in git(site.tree, "log", "-1", "--format=%B", tags["git.commit"])


def test_a_run_shows_why_how_far_what_and_the_pictures(site: Site, trained: RunRecord) -> None:
    wanted = {"artifacts": {"flow_run_id": {"any_": [trained.run]}}}
    shown = {each["key"]: each for each in ask(f"{site.api}/artifacts/filter", wanted)}
    assert {"retrain-why", "retrain-progress", "data-verdict", "model-scores", "gate-decision"} == shown.keys()
    assert (shown["retrain-progress"]["type"], shown["retrain-progress"]["data"]) == ("progress", 100)
    assert "data:image/jpeg;base64," in shown["model-scores"]["data"]
    assert "there is no finished run to compare with" in shown["retrain-why"]["data"]
    assert "there is no remote, so the local branch main is taken" in shown["retrain-why"]["data"]
    assert "No page was made" in shown["gate-decision"]["data"]  # ROADSEG_PAGES is off in these tests


def test_where_nothing_changed_a_run_skips_without_touching_the_workspace(site: Site, trained: RunRecord) -> None:
    mark = site.home / "workspace/mark"
    mark.touch()
    ended = site.work(site.create(**ASKED | {"reason": "once more"}))
    assert (ended["state"]["type"], ended["state"]["name"]) == ("COMPLETED", "Skipped")
    assert ended["name"] == "skipped: nothing changed"
    assert ended["state"]["message"] == "nothing changed since promoted v1"
    assert not tasks_of(site, ended["id"])
    assert mark.exists(), "preparing the workspace would have removed it"
    assert site.record(ended["id"]).state == "Skipped"


class Gate:
    """Stands where the gate does, and notes what it was asked."""

    def __init__(self, answer: Decision) -> None:
        self.answer, self.asked = answer, list[tuple[int, str, bool]]()

    def __call__(self, version: int, reason: str, folder: Path) -> Decision:
        self.asked.append((version, reason, Path("data/manifest.parquet").exists()))
        return self.answer


def test_a_gate_that_lacked_evidence_is_asked_again_without_training_and_wakes_who_waits(
    site: Site, trained: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_HOME", str(site.home))
    write_record(trained.model_copy(update={"final": False, "missing": True}))
    with workspace_lock(Holder("x", "ingest green-fox", os.getpid(), time.time())):
        waits = site.work(site.create())
    assert trained.decision
    gate = Gate(replace(Decision.from_json(trained.decision), outcome="REJECT"))
    monkeypatch.setattr(work, "promote", gate)
    ended = site.work(site.create(**ASKED))
    assert gate.asked == [(1, "fewer draws", True)]
    assert ended["name"] == "rejected v1"
    assert not tasks_of(site, ended["id"])
    record = last_final()
    assert record is not None
    assert (record.run, record.final, record.missing) == (ended["id"], True, False)
    assert site.work(site.create(**ASKED))["state"]["name"] == "Skipped"
    now = site.look(waits["id"])["next_scheduled_start_time"]
    assert now < waits["next_scheduled_start_time"]


def test_a_policy_that_changed_asks_the_gate_and_no_stage(
    site: Site, trained: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(Decision.from_json(trained.decision or {}))
    monkeypatch.setattr(work, "promote", gate)
    change_params(site.tree, {"promote": {"gain": 0.004}})
    commit(site.tree, "ask for more")
    ended = site.work(site.create(**ASKED))
    assert [asked[0] for asked in gate.asked] == [1]
    assert not tasks_of(site, ended["id"])
    assert site.record(ended["id"]).changes == ["policy: promote.gain 0.003 -> 0.004"]
    assert site.work(site.create(**ASKED))["state"]["name"] == "Skipped"


def test_a_commit_that_mlflow_will_name_is_on_a_branch_before_anything_is_sent(
    site: Site, trained: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> Decision:
        raise UsageError("MLflow is away")

    monkeypatch.setattr(work, "_bring_up_to_date", lambda *_, **__: None)
    monkeypatch.setattr(work, "publish_and_judge", dies)
    ended = site.work(site.create(overrides={"evaluate": {"resamples": 120}}))
    record = site.record(ended["id"])
    assert (record.state, record.problem) == ("Failed", "MLflow is away")
    assert record.commit == git(site.tree, "rev-parse", record.branch) != record.base
    assert "resamples: 120" in git(site.tree, "show", f"{record.branch}:params.yaml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"overrides": {"train": {"epoch": 3}}},
        {"overrides": {"train": {"epochs": 0}}},
        {"revision": "--upload-pack=x"},
        {"when_busy": "never"},
        {"force": "yes"},
    ],
)
def test_the_server_refuses_what_the_flow_would(site: Site, wrong: dict[str, Any]) -> None:
    with pytest.raises(HTTPError) as refused:
        site.create(**wrong)
    refused.value.close()
    assert refused.value.code == 409


def test_what_the_server_did_not_look_at_the_flow_refuses_in_a_line_and_in_the_record(site: Site) -> None:
    wrong = {"parameters": {"overrides": {"train": {"epochs": 0}}}, "enforce_parameter_schema": False}
    run = str(ask(f"{site.api}/deployments/{site.deployment}/create_flow_run", wrong)["id"])
    assert site.work(run)["state"]["type"] == "FAILED"
    assert site.record(run).problem == "overrides.train.epochs: Input should be greater than 0, found 0"


def test_a_run_that_finds_another_at_work_waits_without_a_process_skips_or_takes_the_place_of_who_waits(
    site: Site, trained: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_HOME", str(site.home))
    with workspace_lock(Holder("x", "ingest green-fox", os.getpid(), time.time())), chdir(site.tree):
        waits, skips = site.work(site.create(**ASKED)), site.work(site.create(**ASKED, when_busy="skip"))
        assert (waits["state"]["type"], waits["state"]["name"]) == ("SCHEDULED", "Waiting")
        assert waits["state"]["message"].startswith(f"for ingest green-fox (process {os.getpid()}")
        assert (skips["state"]["name"], "ingest green-fox" in skips["name"]) == ("Skipped", True)
        second = site.work(site.create(**ASKED, when_busy="replace"))
        assert second["state"]["name"] == "Waiting"
        assert site.look(waits["id"])["state"]["type"] == "CANCELLED"
        by_hand = retrain(return_state=True)  # as `python -m flows.retrain`, which a person waits for
        assert (by_hand.name, by_hand.message) == ("Skipped", str(Held(present_holder())))
    wake_waiting()  # as the other one does when it ends
    assert site.work(second["id"])["state"]["name"] == "Skipped"  # its turn; and nothing changed


def test_runs_late_from_an_outage_collapse_into_the_newest(
    site: Site, trained: RunRecord, prefect_database: Path
) -> None:
    first, second, third, newest, other = (site.create(**ASKED) for _ in range(5))
    by_hand = site.create(**ASKED)
    with closing(sqlite3.connect(prefect_database, timeout=30)) as database, database:
        for number, run in enumerate([first, second, third, newest]):  # as the schedule makes them
            due = f"2026-01-0{number + 1} 03:00:00.000000"
            database.execute("update flow_run set auto_scheduled = 1, expected_start_time = ? where id = ?", (due, run))
        database.execute("update flow_run set auto_scheduled = 1, parameters = '{}' where id = ?", (other,))
    ended = site.work(second)
    name = site.look(newest)["name"]
    assert ended["state"]["name"] == "Skipped"
    assert ended["state"]["message"].startswith(f"{name}, due at 2026-01-04 ")
    assert [site.look(run)["state"]["name"] for run in (first, third)] == ["Skipped", "Skipped"]
    assert [site.look(run)["state"]["name"] for run in (newest, other, by_hand)] == ["Scheduled"] * 3
    assert site.work(newest)["state"]["message"].startswith("nothing changed")


def test_new_data_start_a_run_of_this_home_alone(site: Site) -> None:
    def event(home: str) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "event": "roadseg.dataset.changed",
            "resource": {"prefect.resource.id": "roadseg.dataset.city", "roadseg.home": home},
            "payload": {"drives": ["train/1"], "summary": f"train/1 of {home}"},
        }

    ask(f"{site.api}/events", [event("/another"), event(str(site.home))])
    wanted = {"flow_runs": {"deployment_id": {"any_": [site.deployment]}}}
    deadline, started = time.monotonic() + 60, list[dict[str, Any]]()
    while not started and time.monotonic() < deadline:
        time.sleep(0.5)
        found = ask(f"{site.api}/flow_runs/filter", wanted)
        started = [run for run in found if (run["created_by"] or {}).get("type") == "AUTOMATION"]
    [run] = started
    assert run["parameters"]["requester"] == "roadseg.dataset.city"
    assert run["parameters"]["reason"] == f"the data changed: train/1 of {site.home}"

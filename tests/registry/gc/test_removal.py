"""Nothing goes that is reached, or worked on, since it was planned; and what was stopped is finished."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import yaml
from filelock import FileLock
from left_behind import LATER, Place, Trained, by_alias, by_ledger
from mlflow.entities import ViewType
from mlflow.tracking._tracking_service import utils
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import home
from roadseg.registry import alias
from roadseg.registry.gc import kept_home, plan, store
from roadseg.registry.versions import MODEL
from roadseg.tracking.store import connect


def at_work(place: Place, below: str) -> None:
    lock = place.tree / below / ".dvc/tmp/rwlock"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"data/raw": {"write": {"pid": os.getpid(), "cmd": "dvc repro"}}}))


AT_WORK = [".", "../other", ".dvc/tmp/exps/tmp1", ".dvc/tmp/exps/standalone/tmp1", "../other/.dvc/tmp/exps/tmp1"]


@pytest.mark.parametrize("below", AT_WORK)
def test_dvc_at_work_stops_it_though_it_begins_after_the_plan(place: Place, below: str) -> None:
    place.git("worktree", "add", "--detach", "../other")
    name = place.put(b"one")
    planned = place.planned()
    assert [item.name for item in planned] == [name]
    at_work(place, below)
    with pytest.raises(Busy, match="dvc repro"):
        list(plan.delete(planned))
    assert place.in_cache() == {name}
    with pytest.raises(Busy, match=f"process {os.getpid()}"):
        place.plan()


def test_an_object_that_a_lock_names_after_the_plan_stays(place: Place) -> None:
    name = place.put(b"one")
    planned = place.planned()
    (place.tree / "dvc.lock").write_text(yaml.safe_dump({"outs": [{"md5": name}]}))
    with pytest.raises(Busy, match=name):
        list(plan.delete(planned))
    assert place.in_cache() == {name}


@pytest.mark.parametrize("way", [by_alias, by_ledger])
def test_a_version_that_is_reached_after_the_plan_stays_with_its_ancestors(
    place: Place, way: Callable[[Place, Trained], object]
) -> None:
    child, parent = place.train("child", parent="one"), place.train("one")  # the newest is the first to go
    planned = place.planned()
    way(place, child)
    with pytest.raises(Busy, match=f"version {child.version} "):
        list(plan.delete(planned))
    assert place.client.get_model_version(MODEL, child.version)
    for trained in (child, parent):
        assert place.client.get_run(trained.run_id).info.lifecycle_stage == "active"
        assert place.client.get_logged_model(trained.model_id)
    assert not (child.everything | parent.everything) - {parent.version} & place.plan()


def test_no_version_goes_while_an_alias_is_moved(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one = place.train("one")
    planned = place.planned()
    monkeypatch.setattr(alias, "PATIENCE", 0.1)
    with FileLock(home() / alias.LOCK), pytest.raises(Busy, match="alias"):
        list(plan.delete(planned))
    assert place.client.get_model_version(MODEL, one.version)


@pytest.mark.parametrize("door", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_mlflow_is_left_alone_where_others_may_use_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: str
) -> None:
    shared = shutil.copytree(home() / "mlflow", place.tree.with_name("shared"))
    monkeypatch.setenv(door, f"sqlite:///{shared}/mlflow.db")
    place.client = connect()
    place.train("one")
    training = next((home() / "runs").iterdir()).name
    unnamed = place.put(b"unnamed")
    assert place.plan() == {unnamed, training}  # the objects that its runs name stay
    assert "gc: MLflow is not the store in home" in capsys.readouterr().out


def test_mlflow_in_home_is_no_others_though_its_address_is_set(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = place.train("one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home()}/../{home().name}/mlflow/mlflow.db")
    assert one.everything <= place.plan()
    assert "gc:" not in capsys.readouterr().out


def state(place: Place) -> object:
    files = {path for folder in (place.tree, home()) for path in folder.rglob("*") if path.suffix[:3] != ".db"}
    experiments = [each.experiment_id for each in place.client.search_experiments()]
    runs = place.client.search_runs(experiments, run_view_type=ViewType.ALL)
    return files, {(run.info.run_id, run.info.lifecycle_stage) for run in runs}


@pytest.fixture
def all_old(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = plan.plan
    monkeypatch.setattr(plan, "plan", lambda tree, days: real(tree, days, time.time() + LATER))
    return


@pytest.mark.usefixtures("all_old")
def test_the_verb_deletes_with_yes_alone_and_never_what_is_reached(place: Place) -> None:
    one, two = place.train("one"), place.train("two")
    by_alias(place, one)
    before = state(place)
    shown = CliRunner().invoke(app, ["gc"])
    assert shown.exit_code == 0, shown.output
    assert "DVC: files in the cache" in shown.output
    assert "nothing was deleted" in shown.output
    assert state(place) == before
    done = CliRunner().invoke(app, ["gc", "--yes"])
    assert done.exit_code == 0, done.output
    assert "7 things deleted" in done.output
    assert place.in_cache() <= one.everything
    assert len(place.in_cache()) == 3
    assert place.client.get_run(one.run_id).info.lifecycle_stage == "active"
    assert two.run_id not in {run_id for run_id, _ in state(place)[1]}  # type: ignore[index]
    assert not list(home().rglob(f"artifacts/roadseg/{two.run_id}/*"))
    assert "nothing can go" in CliRunner().invoke(app, ["gc"]).output


class Killed(BaseException):
    pass


def kill(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("module", "name", "replaced"),
    [(store, "_for_good", kill), (kept_home, "shutil", SimpleNamespace(rmtree=kill))],
    ids=["in MLflow", "in home"],
)
def test_a_removal_that_is_killed_in_the_middle_of_anything_is_finished_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch, module: object, name: str, replaced: object
) -> None:
    trained = place.train("one")
    planned = place.planned()
    stopped = set()
    with monkeypatch.context() as patch:
        patch.setattr(module, name, replaced)
        for item in planned:  # as if it were killed in each of them, and started again
            try:
                item.remove()
            except Killed:
                stopped.add(item.name)
    assert stopped == ({trained.run_id, trained.model_id} if module is store else {planned[-1].name})
    assert {each.removeprefix(kept_home.GONE) for each in place.plan()} == stopped
    list(plan.delete(place.planned()))
    assert not place.plan()
    assert not list(place.client.search_model_versions(f"name = '{MODEL}'"))
    assert trained.model_id not in utils._get_store()._get_deleted_logged_models()
    assert not list((home() / "runs").iterdir())

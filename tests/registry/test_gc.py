"""Nothing that something reaches is deleted; each way to reach it is broken once, and then it goes."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from filelock import FileLock
from left_behind import DAYS, LATER, Place, Trained
from mlflow.entities import ViewType
from mlflow.tracking._tracking_service import utils
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import home
from roadseg.registry import ledger
from roadseg.registry.gc import cache, kept_home, plan, store
from roadseg.registry.versions import MODEL
from roadseg.tracking.store import experiment_id


@pytest.fixture
def place(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    utils._artifact_repos_cache.clear()  # MLflow remembers by run where artifacts lie
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setattr(cache, "dvc", lambda tree, *_: str(tmp_path / "tree/.dvc/cache"))  # asking it takes a second
    return Place(tmp_path / "tree")


def by_alias(place: Place, trained: Trained) -> Callable[[], None]:
    place.client.set_registered_model_alias(MODEL, "shadow", trained.version)
    return lambda: place.client.delete_registered_model_alias(MODEL, "shadow")


def by_ledger(place: Place, trained: Trained) -> Callable[[], None]:
    experiment = experiment_id(place.client, ledger.EXPERIMENT)
    run_id = place.client.create_run(experiment, tags={"candidate": trained.version}).info.run_id
    return lambda: place.client.delete_run(run_id)


def by_another_model(place: Place, trained: Trained) -> Callable[[], None]:
    place.client.create_registered_model("of another team")
    place.client.create_model_version("of another team", f"models:/{trained.model_id}")
    return lambda: place.client.delete_registered_model("of another team")


def by_a_child(place: Place, trained: Trained) -> Callable[[], None]:
    return by_alias(place, place.train("child", parent="one"))


def committed(place: Place, trained: Trained) -> None:
    place.git("checkout", "-q", "-b", "side")
    (place.tree / "dvc.lock").write_text(trained.lock)
    place.commit("run")


def by_branch(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    place.git("checkout", "-q", "main")
    return lambda: place.git("branch", "-D", "side")


def by_tag(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    place.git("tag", "-a", "v1", "-m", "first")
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "side")
    return lambda: place.git("tag", "-d", "v1")


def by_remote_branch(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    place.git("update-ref", "refs/remotes/origin/side", "HEAD")
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "side")
    return lambda: place.git("update-ref", "-d", "refs/remotes/origin/side")


def by_work_tree(place: Place, trained: Trained) -> Callable[[], None]:
    (place.tree / "dvc.lock").write_text(trained.lock)
    return (place.tree / "dvc.lock").unlink


def by_another_work_tree(place: Place, trained: Trained) -> Callable[[], None]:
    other = place.tree.with_name("other")
    place.git("worktree", "add", "--detach", str(other))
    (other / "dvc.lock").write_text(trained.lock)
    return (other / "dvc.lock").unlink


WAYS = [
    by_alias,
    by_ledger,
    by_another_model,
    by_a_child,
    by_branch,
    by_tag,
    by_remote_branch,
    by_work_tree,
    by_another_work_tree,
]


@pytest.mark.parametrize("way", WAYS)
def test_what_one_way_alone_reaches_stays_whole_until_it_is_broken(
    place: Place, way: Callable[[Place, Trained], Callable[[], None]]
) -> None:
    one, other = place.train("one"), place.train("two")
    undo = way(place, one)
    assert not one.everything & (found := place.plan())
    assert other.everything <= found
    undo()
    assert one.everything <= place.plan()


def test_what_is_young_stays_and_its_time_comes(place: Place) -> None:
    one = place.train("one")
    assert not place.plan(later=0)
    assert one.everything <= place.plan()


def test_a_young_run_keeps_old_objects_that_its_locks_name(place: Place) -> None:
    one = place.train("one")
    old = {name for name in one.everything if len(name.partition(".")[0]) == 32 and name != one.run_id}
    place.client.set_terminated(one.run_id, end_time=int((time.time() + LATER) * 1000))
    objects = {item.name for item in plan.plan(place.tree, DAYS, time.time() + LATER) if "cache" in item.kind}
    assert not old & objects
    place.client.log_text(one.run_id, yaml.safe_dump({"outs": [{"md5": place.put(b"more")}]}), "origin/e/data/raw.dvc")
    assert hashlib.md5(b"more").hexdigest() not in place.plan()


def test_a_stage_that_ran_lately_keeps_what_it_made_and_an_old_one_goes(place: Place) -> None:
    one, two = place.put(b"one"), place.put(b"two")
    entries = place.tree / ".dvc/cache/runs/aa" / ("a" * 64)
    entries.mkdir(parents=True)
    for name, made in (("b" * 64, one), ("c" * 64, two)):
        (entries / name).write_text(yaml.safe_dump({"outs": [{"path": "x", "md5": made}]}))
    os.utime(entries / ("b" * 64), (time.time() + LATER,) * 2)
    found = place.plan()
    assert found == {two, "c" * 64}


def test_weights_stay_where_a_branch_or_a_kept_run_starts_from_them(place: Place) -> None:
    for letter in "abo":
        (home() / "reuse/weights").mkdir(parents=True, exist_ok=True)
        (home() / "reuse/weights" / f"{letter * 64}.npz").touch()
    (place.tree / "params.yaml").write_text(f"train: {{init: {'a' * 64}}}\n")
    by_alias(place, place.train("child", parent="one"))
    assert place.plan() == {f"{'b' * 64}.npz"}


def test_what_was_fetched_for_the_gate_goes_when_it_is_old(place: Place) -> None:
    for name in ("models", "bundles", "evaluations", "scores"):
        (home() / "reuse" / name / f"of {name}").mkdir(parents=True)
    assert not place.plan(later=0)
    assert place.plan() == {"of models", "of bundles", "of evaluations", "of scores"}


def test_a_training_that_goes_on_keeps_its_folder(place: Place) -> None:
    folder = home() / "runs" / ("d" * 64)
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        assert not place.plan()
    assert place.plan() == {folder.name}


def test_a_cache_that_others_may_use_is_left_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Path(shutil.copytree(place.tree / ".dvc", home() / "shared"))
    place.put(b"one")
    monkeypatch.setattr(cache, "dvc", lambda *_: str(outside))
    assert not place.plan()


def test_a_stage_at_work_stops_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "holders", lambda _: ["process 7 (dvc repro)"])
    with pytest.raises(Busy, match="process 7"):
        place.plan()


def test_git_that_does_not_answer_is_no_empty_repository(place: Place) -> None:
    place.train("one")
    shutil.move(place.tree / ".git", place.tree / ".away")
    with pytest.raises(UsageError, match="git"):
        place.plan()


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
    left = {"".join(path.parts[-2:]) for path in (place.tree / ".dvc/cache").rglob("*") if path.is_file()}
    assert left <= one.everything
    assert len(left) == 3
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
    planned = plan.plan(place.tree, DAYS, time.time() + LATER)
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
    list(plan.delete(plan.plan(place.tree, DAYS, time.time() + LATER)))
    assert not place.plan()
    assert not list(place.client.search_model_versions(f"name = '{MODEL}'"))
    assert trained.model_id not in utils._get_store()._get_deleted_logged_models()
    assert not list((home() / "runs").iterdir())


def test_what_a_server_has_marked_as_deleted_is_done_with(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one = place.train("one")
    monkeypatch.setattr(store, "_get_store", object)  # over HTTP nothing can be deleted for good
    in_mlflow = {one.run_id, one.model_id, one.version}
    assert in_mlflow <= place.plan()
    list(plan.delete(plan.plan(place.tree, DAYS, time.time() + LATER)))
    assert place.client.get_run(one.run_id).info.lifecycle_stage == "deleted"
    assert not place.plan()

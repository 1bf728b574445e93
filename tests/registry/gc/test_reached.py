"""Nothing that something reaches is deleted; each way to reach it is broken once, and then it goes."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable

import pytest
import yaml
from filelock import FileLock
from left_behind import LATER, Place, Trained, by_alias, by_ledger

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.registry.gc import cache


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


def by_experiment(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    place.git("update-ref", "refs/exps/aa/bb/named", "HEAD")
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "side")
    return lambda: place.git("update-ref", "-d", "refs/exps/aa/bb/named")


def by_stash(place: Place, trained: Trained) -> Callable[[], None]:
    for lock in (trained.lock, "stages: {}"):  # the newest alone is a ref
        (place.tree / "dvc.lock").write_text(lock)
        place.git("stash", "-u")
    return lambda: place.git("stash", "drop", "stash@{1}")


def by_queue(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    for commit in ("HEAD", "main"):
        place.git("update-ref", "--create-reflog", "-m", "queued", "refs/exps/celery/stash", commit)
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "side")
    return lambda: place.git("update-ref", "-d", "refs/exps/celery/stash")


def by_head_of_another_work_tree(place: Place, trained: Trained) -> Callable[[], None]:
    committed(place, trained)
    place.git("worktree", "add", "--detach", str(place.tree.with_name("other")))
    shutil.rmtree(place.tree.with_name("other"))  # as on a disk that is not there now
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "side")
    return lambda: place.git("worktree", "prune", "--expire", "now")


def by_running(place: Place, trained: Trained) -> Callable[[], None]:
    place.client.update_run(trained.run_id, "RUNNING")
    return lambda: place.client.delete_run(trained.run_id)


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
    by_head_of_another_work_tree,
    by_experiment,
    by_stash,
    by_queue,
    by_running,
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
    objects = {item.name for item in place.planned() if "cache" in item.kind}
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


def imported(place: Place, word: str) -> set[str]:
    inside = place.put(word.encode())
    folder = place.put(yaml.safe_dump([{"md5": inside}]).encode(), ".dir")
    (place.tree / "data").mkdir(exist_ok=True)
    (place.tree / "data/raw.dvc").write_text(yaml.safe_dump({"outs": [{"path": "raw", "md5": folder}]}))
    place.commit(word)
    return {inside, folder}


def test_data_stay_that_any_commit_of_any_branch_names(place: Place) -> None:
    stay = imported(place, "replaced")
    place.git("checkout", "-q", "-b", "merged")
    stay |= imported(place, "merged")
    place.git("checkout", "-q", "--orphan", "open")
    stay |= imported(place, "first of open") | imported(place, "second of open")
    place.git("checkout", "-q", "main")
    stay |= imported(place, "present")
    place.git("merge", "-q", "-s", "ours", "merged")
    place.git("branch", "-D", "merged")
    place.git("rm", "-q", "data/raw.dvc")
    place.commit("none any more")
    place.git("reflog", "expire", "--expire=now", "--all")
    assert not stay & place.plan()


def test_data_of_a_commit_that_was_taken_back_stay_until_git_forgets_it(place: Place) -> None:
    place.git("config", "log.showRoot", "false")  # as some have it
    place.git("checkout", "-q", "--orphan", "aside")
    taken_back = imported(place, "taken back")
    place.git("checkout", "-q", "main")
    place.git("branch", "-D", "aside")
    assert not place.plan()
    place.git("reflog", "expire", "--expire=now", "--all")
    assert place.plan() == taken_back


def test_a_cache_that_others_may_use_is_left_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = place.put(b"one")
    for parent, can_go in ((home(), set()), (place.tree, {name})):
        folder = shutil.copytree(place.tree / ".dvc/cache", parent / "shared")
        monkeypatch.setattr(cache, "dvc", lambda *_, folder=folder: str(folder))
        assert place.plan() == can_go
        assert (f"{folder} is no part of this repository" in capsys.readouterr().out) == (not can_go)


def test_git_that_does_not_answer_is_no_empty_repository(place: Place) -> None:
    place.train("one")
    shutil.move(place.tree / ".git", place.tree / ".away")
    with pytest.raises(UsageError, match="git"):
        place.plan()

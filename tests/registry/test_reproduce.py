"""A version is made again from what is stored of it; none of what decides its data was ever committed."""

import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file, home
from roadseg.contracts.weights import NAME
from roadseg.pipeline.git import GitState, git, git_state
from roadseg.registry.rebuild import reproduce as module
from roadseg.registry.rebuild.compare import Comparison, compare_rebuilt
from roadseg.registry.rebuild.recorded import Recorded, fetch_recorded, find_version
from roadseg.registry.rebuild.tree import bring_old_data, check_out
from roadseg.registry.versions import CHAMPION, MODEL, register
from roadseg.tracking.origin import DECIDE, send_origin
from roadseg.tracking.publish import publish
from roadseg.tracking.store import connect

NEW = "src/roadseg/train/losses/hard.py"  # as if it had been written after the last commit
NEVER_COMMITTED = (*(str(path) for path in DECIDE if path.name != "params.yaml"), NEW)


def in_git(tree: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)


class Trained(NamedTuple):
    tree: Path
    home: Path


@pytest.fixture(scope="module")
def trained(finished: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A checkout that ran with new files and changed parameters, and the store it was registered in."""
    folder = tmp_path_factory.mktemp("trained")
    tree = Path(shutil.copytree(finished, folder / "tree", symlinks=True))
    params = (tree / "params.yaml").read_text()
    (tree / "params.yaml").write_text("# before\n" + params.replace("batch: 4", "batch: 2"))
    in_git(tree, "rm", "--cached", "--quiet", "--ignore-unmatch", *NEVER_COMMITTED)
    in_git(tree, "add", "params.yaml")
    in_git(tree, "commit", "-q", "-m", "before")
    (tree / "params.yaml").write_text(params)
    (folder / "home/mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, folder / "home/mlflow")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("ROADSEG_HOME", str(folder / "home"))
        patch.setenv("ROADSEG_PICTURES", "off")
        assert register(publish(tree)) == 1
        connect().set_registered_model_alias(MODEL, CHAMPION, "1")
    return Trained(tree, folder / "home")


@pytest.fixture
def client(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """This test's own copy of the store, called in the checkout."""
    shutil.copytree(trained.home / "mlflow", home() / "mlflow")
    utils._artifact_repos_cache.clear()  # MLflow remembers by run where artifacts lie, and here they lie elsewhere
    monkeypatch.chdir(trained.tree)
    return connect()


class Rebuilt(NamedTuple):
    folder: Path
    result: Result
    cache: tuple[set[Path], set[Path]]


@pytest.fixture(scope="module")
def rebuilt(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Rebuilt:
    folder = tmp_path_factory.mktemp("rebuilt") / "kept"
    cache = trained.tree / ".dvc/cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("ROADSEG_HOME", str(trained.home))
        patch.chdir(trained.tree)
        before = set(cache.rglob("*"))
        result = CliRunner().invoke(app, ["reproduce", "--into", str(folder)])
        return Rebuilt(folder, result, (before, set(cache.rglob("*"))))


def test_a_training_with_new_files_that_nobody_committed_is_made_again_to_the_bit(
    trained: Trained, rebuilt: Rebuilt
) -> None:
    assert rebuilt.result.exit_code == 0, rebuilt.result.output
    assert "\nequal: version 1 was rebuilt" in rebuilt.result.output
    tree = rebuilt.folder / "tree"
    for name in ("models/bundle/model.keras", "reports/evaluation/confusion.npy", "metrics.json", *NEVER_COMMITTED):
        if (trained.tree / name).exists():
            assert digest_file(tree / name) == digest_file(trained.tree / name), name
    assert (tree / NEW).exists()
    assert not git(tree, "ls-tree", "HEAD", NEW)


def test_it_was_trained_and_not_restored_and_leaves_no_trace(trained: Trained, rebuilt: Rebuilt) -> None:
    assert "train: small on" in rebuilt.result.output
    assert "is cached" not in rebuilt.result.output
    [journal] = rebuilt.folder.glob("home/runs/*/journal.jsonl")
    assert json.loads(journal.read_text().splitlines()[0])["text"] == "start"
    assert rebuilt.cache[0] == rebuilt.cache[1]
    assert not (rebuilt.folder / "home/mlflow").exists()


@pytest.fixture
def recorded(client: MlflowClient, tmp_path: Path) -> Recorded:
    return fetch_recorded(client, 1, tmp_path / "recorded")


def change_card(tree: Path, **changes: object) -> None:
    path = tree / "models/bundle/card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def outcome(rebuilt: Rebuilt, tmp_path: Path) -> Path:
    """What the rebuild made, to be changed."""
    for name in ("models", "reports"):
        shutil.copytree(rebuilt.folder / "tree" / name, tmp_path / "outcome" / name)
    shutil.copy(rebuilt.folder / "tree/metrics.json", tmp_path / "outcome")
    return tmp_path / "outcome"


def lines(comparison: Comparison) -> str:
    return "\n".join(comparison.lines)


def test_other_weights_differ_on_the_same_kind_of_processor_alone(recorded: Recorded, outcome: Path) -> None:
    assert compare_rebuilt(recorded, outcome).exit_code == 0
    change_card(outcome, weights="d" * 64, params=recorded.bundle.card["params"] | {"batch": 3})
    same = compare_rebuilt(recorded, outcome)
    assert same.exit_code == 1
    assert "differs: version 1 was rebuilt with other results" in lines(same)
    assert f"{'d' * 12} rebuilt" in lines(same)
    assert "train.batch: 4 there, 3 here" in lines(same)
    change_card(outcome, instruction_set="sse41")
    other = compare_rebuilt(recorded, outcome)
    assert other.exit_code == 0
    assert "on another kind of processor" in lines(other)
    assert "there, sse41 here" in lines(other)


def test_other_scores_and_other_bytes_differ_too(recorded: Recorded, outcome: Path) -> None:
    scores = outcome / "reports/evaluation/scores.json"
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"miou": 0.5}))
    with (outcome / "models/bundle/model.keras").open("ab") as opened:
        opened.write(b"more")
    found = compare_rebuilt(recorded, outcome)
    assert found.exit_code == 1
    assert "scores: 1 figures (miou)" in lines(found)
    assert "0.5 rebuilt" in lines(found)
    assert "model.keras: other bytes" in lines(found)


@pytest.fixture
def stops_before_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise AssertionError("it began to train")

    monkeypatch.setattr(module, "run_graph", refuse)
    yield
    assert "roadseg-reproduce" not in git(Path.cwd(), "worktree", "list")


def refused(model: str = "1") -> str:
    done = CliRunner().invoke(app, ["reproduce", model])
    assert isinstance(done.exception, UsageError), done.output
    assert done.exception.exit_code == 2
    return str(done.exception)


def send_again(client: MlflowClient, state: GitState, tree: Path) -> None:
    tags = client.get_model_version(MODEL, "1").tags
    [folder] = home().rglob(f"origin/{tags['evaluation']}")
    shutil.rmtree(folder)
    send_origin(client, tags["run_id"], tags["evaluation"], tree, state)


@pytest.mark.usefixtures("stops_before_training")
def test_a_tag_that_names_other_weights_is_refused(client: MlflowClient, recorded: Recorded) -> None:
    client.set_model_version_tag(MODEL, "1", "weights", "e" * 64)
    assert f"version 1 was registered with the weights {'e' * 12}, and MLflow holds" in refused()


@pytest.mark.usefixtures("stops_before_training")
@pytest.mark.parametrize(
    ("diff", "whole", "said"), [("off", True, "ROADSEG_DIFF=off"), ("on", False, "too large to be kept")]
)
def test_changes_that_were_not_kept_are_missing(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, diff: str, whole: bool, said: str
) -> None:
    monkeypatch.setenv("ROADSEG_DIFF", diff)
    send_again(client, replace(git_state(Path.cwd()), whole=whole), Path.cwd())
    found = refused()
    assert "version 1 cannot be rebuilt: what ran is not what was kept (src/roadseg/train " in found
    assert said in found


@pytest.mark.usefixtures("stops_before_training")
def test_a_commit_that_is_not_here_is_missing(client: MlflowClient) -> None:
    send_again(client, replace(git_state(Path.cwd()), commit="1" * 40), Path.cwd())
    assert f"commit {'1' * 12} is not in the repository" in refused("champion")


@pytest.mark.usefixtures("stops_before_training")
def test_data_come_from_the_remote_and_are_missing_where_there_is_none(
    trained: Trained, client: MlflowClient, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Path(shutil.copytree(trained.tree, tmp_path / "tree", symlinks=True))
    monkeypatch.chdir(tree)
    shutil.move(tree / ".dvc/cache", tmp_path / "remote")
    assert "its data (data/raw, md5 " in (found := refused())
    assert "are not in the cache, and there is no remote" in found
    (tree / ".dvc/config.local").write_text(
        "[core]\n    remote = there\n['remote \"there\"']\n    url = ../../remote\n"
    )
    bring_old_data(tree, check_out(tree, recorded.origin, tmp_path / "new"))
    files = {path.relative_to(tree): path for path in (tree / "data/raw").rglob("*") if path.is_file()}
    assert files
    for name, path in files.items():
        assert (tmp_path / "new" / name).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("stops_before_training")
def test_other_libraries_are_another_training(
    client: MlflowClient, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.check_versions(recorded.bundle)
    monkeypatch.setattr(module, "_installed", lambda name: "2.0.0")
    assert "it was trained with keras 3." in (found := refused())
    assert "2.0.0 is installed" in found


def test_weights_that_it_started_from_come_from_the_parent_s_run(
    client: MlflowClient, recorded: Recorded, tmp_path: Path
) -> None:
    card = recorded.bundle.card
    params = card["params"] | {"init": card["training_weights"]}
    child = replace(recorded.bundle, card=card | {"params": params, "parent": card["fingerprint"]})
    module.bring_parent(client, child, tmp_path / "own")
    place = tmp_path / "own/reuse/weights" / f"{card['training_weights']}.npz"
    assert place.read_bytes() == (recorded.bundle.folder / NAME).read_bytes()
    with pytest.raises(UsageError, match="the weights 000000000000 that it started from are neither in"):
        module.bring_parent(client, replace(child, card=child.card | {"params": {"init": "0" * 64}}), tmp_path)


def test_an_encoder_that_is_not_here_is_named_with_the_verb(
    client: MlflowClient, recorded: Recorded, tmp_path: Path
) -> None:
    card = recorded.bundle.card | {"params": {"init": "0" * 64}, "parent": "pretrained/lite0"}
    with pytest.raises(UsageError, match=r"are not in .*: run `roadseg models pretrained lite0`"):
        module.bring_parent(client, replace(recorded.bundle, card=card), tmp_path)


def test_every_name_of_a_version_is_understood(client: MlflowClient) -> None:
    for name in (CHAMPION, "candidate", "1", "models:/roadseg/1", "models:/roadseg@champion"):
        assert find_version(client, name) == 1
    for name in ("nobody", "models:/other/1", "models:/roadseg@nobody", "models/bundle"):
        with pytest.raises(UsageError, match="roadseg models list"):
            find_version(client, name)
    with pytest.raises(UsageError, match="no version 7"):
        fetch_recorded(client, 7, home() / "seven")

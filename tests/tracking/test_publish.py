import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import STORED, Evaluation, read_evaluation, read_scores
from roadseg.contracts.files import home
from roadseg.contracts.manifest import read_manifest, write_manifest
from roadseg.evaluate.write import write_scores
from roadseg.pipeline.git import GitState, git_state
from roadseg.predict.predictor import Predictor
from roadseg.tracking import publish as module
from roadseg.tracking.origin import DECIDE
from roadseg.tracking.publish import publish
from roadseg.tracking.store import connect, experiment_id, find_or_create_run

BUNDLE = ("model.keras", "card.json", "samples.parquet", "weights.npz")
TABLES = ("images.parquet", "scores.json", "classes.csv", "confusion.csv")
ELSEWHERE = """
import importlib.util, sys
sys.path[:] = [path for path in sys.path if not path.endswith("/src")]  # the editable install
assert importlib.util.find_spec("roadseg") is None
sys.modules |= dict.fromkeys(("psutil", "dvc", "prefect", "dask", "great_expectations"))  # what serving does not bring
import mlflow, numpy as np
uri, model, images, masks = sys.argv[1:]
mlflow.set_tracking_uri(uri)
np.save(masks, mlflow.pyfunc.load_model(model).predict(np.load(images)))
print(sys.modules["roadseg.predict.predictor"].__file__)
"""


@pytest.fixture
def store(place: Any, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("ROADSEG_HOME", str(place.home))
    return connect()


@pytest.fixture
def run(place: Any, store: MlflowClient) -> Run:
    return store.get_run(place.published[0].run_id)


def names(client: MlflowClient, run_id: str, folder: str = "") -> set[str]:
    """Paths of all files below a folder of the run."""
    found = client.list_artifacts(run_id, folder)
    below = (names(client, run_id, entry.path) for entry in found if entry.is_dir)
    return {entry.path for entry in found if not entry.is_dir}.union(*below)


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (2, height, width, 3), np.uint8)


def predicted(tree: Path, pixels: np.ndarray) -> np.ndarray:
    return np.stack(list(Predictor(Bundle.open(tree / "models/bundle"), precision="auto")(pixels)))


def test_a_training_is_one_run_however_often_it_is_sent(place: Any, store: MlflowClient, run: Run) -> None:
    assert place.published[0] == place.published[1]
    assert [found.info.run_id for found in store.search_runs([experiment_id(store)])] == [run.info.run_id]
    assert run.info.status == "FINISHED"
    assert run.data.tags["roadseg.fingerprint"] == Bundle.open(place.tree / "models/bundle").card["fingerprint"]


def test_no_metric_is_there_twice(place: Any, store: MlflowClient, run: Run) -> None:
    history = pd.read_csv(place.tree / "reports/history.csv").set_index("epoch").drop(columns="step")
    history = history.rename(columns=lambda name: f"monitored.{name}" if "iou" in name else name)
    assert set(history.dropna(axis=1, how="all")) <= run.data.metrics.keys()
    for key in run.data.metrics:
        entries = store.get_metric_history(run.info.run_id, key)
        found = {entry.step: entry.value for entry in entries}
        assert len(entries) == len(found), key
        if key in history:
            assert found == pytest.approx(history[key].dropna().to_dict())
        elif key.startswith("pace."):  # the journal alone has them: no output of a stage knows a speed
            assert list(found) == list(history.index)
        elif key.startswith("system/"):
            assert sorted(found) == list(range(1, len(found) + 1)), key
        else:
            assert list(found) == [0], key


def test_parameters_and_scores_are_those_of_the_files(place: Any, run: Run) -> None:
    bundle = Bundle.open(place.tree / "models/bundle")
    params = {f"train.{key}": str(value) for key, value in bundle.card["params"].items()}
    params |= {key: str(value) for key, value in asdict(bundle.surroundings).items() if value is not None}
    assert run.data.params == params | {"height": "64", "width": "128", "classes": "idd-level1"}
    assert run.data.tags["roadseg.weights"] == bundle.card["weights"]
    scores = read_scores(place.tree / "reports/evaluation")
    figures = {key: value for key, value in scores.items() if isinstance(value, float)}
    assert sum(key.startswith("iou.") for key in scores) == 7
    for start in ("val.", f"evaluation-{place.published[0].evaluation[:8]}."):
        sent = {k.removeprefix(start): value for k, value in run.data.metrics.items() if k.startswith(start)}
        assert sent == pytest.approx(figures)
    assert place.published[0].miou == scores["miou"] == json.loads((place.tree / "metrics.json").read_text())["miou"]


def test_every_figure_is_linked_to_the_logged_model_and_to_the_val_data(
    place: Any, store: MlflowClient, run: Run
) -> None:
    linked = store.get_logged_model(place.published[0].model_id).metrics
    scored = {key: value for key, value in run.data.metrics.items() if key.startswith(("val.", "evaluation-"))}
    assert {f"{start}iou.sky" for start in ("val.", f"evaluation-{place.published[0].evaluation[:8]}.")} <= set(scored)
    assert {metric.key: metric.value for metric in linked} == scored
    assert len(linked) == len(scored)
    [val] = [entry.dataset for entry in run.inputs.dataset_inputs if entry.tags[0].value == "val"]
    assert {(metric.dataset_name, metric.dataset_digest) for metric in linked} == {(val.name, val.digest)}


def test_data_and_code_are_named(place: Any, run: Run) -> None:
    manifest = read_manifest(place.tree / "data/manifest.parquet")
    inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    assert inputs.keys() == {"train", "val"}
    for split, dataset in inputs.items():
        assert dataset.digest == manifest.digest(split)[:32]
    tags, head = run.data.tags, subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=place.tree, text=True).strip()
    assert tags["data.val_manifest"] == manifest.digest("val") == place.published[0].val_manifest
    assert tags["git.commit"] == tags["mlflow.source.git.commit"] == head == place.published[0].commit
    assert tags["git.dirty"] == "false"


def test_the_files_are_there(place: Any, store: MlflowClient, run: Run, tmp_path: Path) -> None:
    evaluation, origin = (f"{folder}/{place.published[0].evaluation}" for folder in ("evaluation", "origin"))
    sources = {
        "dvc.lock": "dvc.lock",
        f"{evaluation}/metrics.json": "metrics.json",
        **{f"{evaluation}/{name}.npy": f"reports/evaluation/{name}.npy" for name in STORED},
        **{f"{evaluation}/{name}": f"reports/evaluation/{name}" for name in TABLES},
        **{f"bundle/{name}": f"models/bundle/{name}" for name in BUNDLE},
        **{f"{origin}/{name}": str(name) for name in DECIDE if (place.tree / name).exists()},
    }
    assert f"{origin}/data/raw.dvc" in sources
    state = json.loads(Path(store.download_artifacts(run.info.run_id, f"{origin}/origin.json")).read_text())
    assert (state["commit"], state["changes"]) == (place.published[0].commit, "none")
    views = {"pictures/predictions.jpg", "data/data.html", f"{evaluation}/model.html"}
    watched = {name for name in names(store, run.info.run_id) if name.startswith("images/monitored+step+")}
    assert len(watched) == 4  # of two epochs, each whole and compressed
    assert names(store, run.info.run_id) == sources.keys() | views | watched | {f"{origin}/origin.json"}
    folder = Path(store.download_artifacts(run.info.run_id, "", str(tmp_path)))
    assert "Data accepted" in (folder / "data/data.html").read_text()
    assert "mean IoU" in (folder / evaluation / "model.html").read_text()
    for artifact, source in sources.items():
        assert (folder / artifact).read_bytes() == (place.tree / source).read_bytes(), artifact
    assert not list(place.tree.glob("mlruns*"))


def test_the_model_takes_any_size_and_predicts_like_the_predictor(
    place: Any, store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's code first
    model = mlflow.pyfunc.load_model(f"models:/{place.published[0].model_id}")
    for size in ((227, 320), (64, 128), (30, 50)):
        np.testing.assert_array_equal(model.predict(images(*size)), predicted(place.tree, images(*size)))
    assert model.metadata.signature is None  # it would cast floats before the model sees them
    assert model.metadata.saved_input_example_info


def test_the_model_carries_its_code(place: Any, store: MlflowClient, tmp_path: Path) -> None:
    pixels, masks = tmp_path / "images.npy", tmp_path / "masks.npy"
    np.save(pixels, images(90, 120))
    model = mlflow.artifacts.download_artifacts(f"models:/{place.published[0].model_id}")
    told = [mlflow.get_tracking_uri(), model, str(pixels), str(masks)]
    printed = subprocess.check_output([sys.executable, "-I", "-c", ELSEWHERE, *told], cwd="/", text=True, timeout=120)
    assert str(place.home) in printed.splitlines()[-1]
    np.testing.assert_array_equal(np.load(masks), predicted(place.tree, images(90, 120)))


def test_an_outage_anywhere_is_made_up_for(
    client: MlflowClient, place: Any, light_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    shutil.copytree(place.home / "runs", home() / "runs", ignore=shutil.ignore_patterns("sent*", "pictured"))
    for call in ("log_batch", "log_inputs", "set_tag", "log_artifact", "log_artifacts", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, Mock(side_effect=ConnectionError("outage")))
            with pytest.raises(ConnectionError, match="outage"):
                publish(place.tree)
    run_id = publish(place.tree).run_id
    whole, found = MlflowClient(f"sqlite:///{place.home / 'mlflow/mlflow.db'}"), client.get_run(run_id)
    expected = whole.get_run(place.published[0].run_id)
    assert found.data.metrics == expected.data.metrics
    assert found.data.params == expected.data.params
    ours = ("roadseg.", "data.", "git.", "mlflow.source.git")
    tags, others = ({k: v for k, v in run.data.tags.items() if k.startswith(ours)} for run in (expected, found))
    assert others == tags
    assert len(found.inputs.dataset_inputs) == 2
    pictures = {name for name in names(whole, expected.info.run_id) if name.startswith(("pictures/", "images/"))}
    assert names(client, run_id) == names(whole, expected.info.run_id) - pictures


def test_a_second_evaluation_on_other_data_leaves_the_first_as_it_was(
    client: MlflowClient, place: Any, light_model: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    tree = Path(shutil.copytree(place.tree, tmp_path / "second", symlinks=True, ignore=shutil.ignore_patterns("raw")))
    first = publish(tree)
    before, files = client.get_run(first.run_id).data.metrics, names(client, first.run_id)
    drop_last_val_image(tree)
    second = publish(tree, GitState("5" * 40, False, ""))
    assert (first.commit, second.commit) == (git_state(place.tree).commit, "5" * 40)
    assert publish(tree).commit == second.commit, "who sent an evaluation first says where it comes from"
    assert (second.run_id, second.model_id) == (first.run_id, first.model_id)
    assert second.evaluation != first.evaluation
    run = client.get_run(first.run_id)
    ours, theirs = (f"evaluation-{each.evaluation[:8]}." for each in (first, second))
    evidence = {key: value for key, value in before.items() if key.startswith(ours)}
    assert len(evidence) > 50
    for key, value in evidence.items():
        assert [entry.value for entry in client.get_metric_history(run.info.run_id, key)] == [value], key
    assert run.data.metrics[f"{theirs}miou"] == run.data.metrics["val.miou"] == second.miou
    assert [entry.value for entry in client.get_metric_history(run.info.run_id, "val.miou")] == [
        first.miou,
        second.miou,
    ]
    linked = client.get_logged_model(first.model_id).metrics
    digests = {metric.key: metric.dataset_digest for metric in linked}
    assert digests[f"{ours}miou"] == first.val_manifest[:32] != digests[f"{theirs}miou"] == second.val_manifest[:32]
    assert {entry.dataset.digest for entry in run.inputs.dataset_inputs} >= set(digests.values())
    assert len(run.inputs.dataset_inputs) == 3
    assert run.data.tags["data.val_manifest"] == first.val_manifest
    assert names(client, first.run_id) > files


def drop_last_val_image(tree: Path) -> None:
    """From the manifest and the evaluation, as if the data had changed and evaluate had run again."""
    manifest, stored = read_manifest(tree / "data/manifest.parquet"), read_evaluation(tree / "reports/evaluation")
    last = manifest.records("val")[-1]["sample"]
    keep = [sample != last for sample in manifest.rows["sample"].to_pylist()]
    write_manifest(tree / "data/manifest.parquet", "manifest", manifest.where(keep))
    fewer = Evaluation(stored.images.slice(0, len(stored.counts) - 1), stored.counts[:-1])
    write_scores(tree / "reports/evaluation", tree / "metrics.json", fewer, resamples=100, seed=0)


def test_folders_sent_in_part_are_completed(client: MlflowClient, place: Any, light_model: None) -> None:
    published = publish(place.tree)
    before = names(client, published.run_id)
    [evaluation] = home().rglob(f"evaluation/{published.evaluation}")
    [bundle] = home().rglob("artifacts/bundle")
    for path in (evaluation / "metrics.json", evaluation / "confusion.npy", bundle / "model.keras"):
        path.unlink()
    publish(place.tree)
    assert names(client, published.run_id) == before


def test_pictures_stay_here_where_they_must(
    client: MlflowClient, place: Any, light_model: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree = Path(shutil.copytree(place.tree, tmp_path / "dirty", symlinks=True, ignore=shutil.ignore_patterns("raw")))
    (tree / "params.yaml").write_text((tree / "params.yaml").read_text() + "# edited\n")
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    published = publish(tree)
    assert not [name for name in names(client, published.run_id) if name.startswith("pictures")]
    assert published.dirty
    assert "+# edited" in mlflow.artifacts.load_text(f"runs:/{published.run_id}/code/uncommitted.diff")


def test_an_unfinished_tree_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dvc repro train"):
        publish(tmp_path)


def test_the_parent_of_a_warm_start_is_a_tag_and_without_one_there_is_none(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, "c" * 64).info.run_id
    module._send_parent(client, run_id, {"parent": None, "params": {"init": "none"}})
    assert not [tag for tag in client.get_run(run_id).data.tags if tag.startswith("roadseg.parent")]
    module._send_parent(client, run_id, {"parent": "f" * 64, "params": {"init": "a" * 64}})
    tags = client.get_run(run_id).data.tags
    assert (tags["roadseg.parent"], tags["roadseg.parent.weights"]) == ("f" * 64, "a" * 64)

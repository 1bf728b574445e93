import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import keras
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from small_training import PARAMS, SHORT

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import Busy
from roadseg.contracts.journal import read_journal
from roadseg.contracts.shards import Shards
from roadseg.train import stage
from roadseg.train.models.known import MODELS
from roadseg.train.stage import TrainParams, epoch_sizes, resolve_precision


class Trained(NamedTuple):
    tree: Path
    home: Path
    printed: str

    @property
    def run(self) -> Path:
        [folder] = (self.home / "runs").iterdir()
        return folder


def trained(folder: Path, make_shards: Callable[..., Shards]) -> Trained:
    """Train once on drives that show six of the seven classes, in a tree and a home of its own."""
    tree, before, printed = folder / "tree", keras.config.dtype_policy(), io.StringIO()
    make_shards(tree / "data/shards", ClassTable.find("idd-level1"), kinds=6)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("ROADSEG_HOME", str(folder / "home"))
        patch.setitem(MODELS, "small", SHORT)
        for name in ("TF_DETERMINISTIC_OPS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            patch.setenv(name, "1")  # the stage sets them, so the patch must know what to bring back
        patch.chdir(tree)
        try:
            stage.run(train=TrainParams(**PARAMS))
        finally:
            keras.config.set_dtype_policy(before)
    return Trained(tree, folder / "home", printed.getvalue())


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, make_shards: Callable[..., Shards]) -> list[Trained]:
    return [trained(tmp_path_factory.mktemp(name), make_shards) for name in ("one", "two")]


def test_a_training_leaves_what_it_promises(twice: list[Trained]) -> None:
    tree, run = twice[0].tree, twice[0].run
    bundle = Bundle.open(tree / "models/bundle")
    assert bundle.card["fingerprint"] == run.name
    assert bundle.card["params"] == PARAMS
    assert bundle.card["data"] == Shards.open(tree / "data/shards").digest
    assert bundle.size == (32, 64)
    [row] = pd.read_csv(tree / "reports/history.csv").to_dict("records")
    assert set(row) == {"epoch", "step", "loss", "learning_rate", "miou"} | {f"iou.{n}" for n in bundle.classes.names}
    entries, _ = read_journal(run)
    assert [entry.get("text", entry["kind"]) for entry in entries] == ["start", "metric", "done"]
    assert entries[1]["step"] == 1
    assert entries[1]["values"]["loss"] == pytest.approx(row["loss"])


def test_the_bundle_names_every_image_of_the_training_split(twice: list[Trained]) -> None:
    samples = pd.read_parquet(twice[0].tree / "models/bundle/samples.parquet")
    assert samples["sample"].tolist() == sorted(Shards.open(twice[0].tree / "data/shards").index["sample"])
    assert samples["drive"].value_counts().to_dict() == {"a": 3, "b": 2, "c": 4}


def test_equal_work_gives_equal_bytes(twice: list[Trained]) -> None:
    names = [f"models/bundle/{name}" for name in ("model.keras", "card.json", "samples.parquet")]
    for name in [*names, "reports/history.csv"]:
        one, two = ((run.tree / name).read_bytes() for run in twice)
        assert one == two, name


def test_a_class_that_never_occurs_is_named_before_training(twice: list[Trained]) -> None:
    printed = twice[0].printed
    assert printed.count("never occurs") == 1
    assert printed.index("class sky never occurs") < printed.index("epoch 1/1")


def test_a_second_trainer_of_an_experiment_is_told_of_the_first(
    twice: list[Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_HOME", str(twice[0].home))
    monkeypatch.chdir(twice[1].tree)  # another checkout, the same experiment
    with FileLock(twice[0].run / "lock"), pytest.raises(Busy, match=rf"process \d+ in {twice[0].tree}") as caught:
        stage.run(train=TrainParams(**PARAMS))
    assert caught.value.exit_code == 5


@pytest.fixture
def fingerprint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shards: Shards) -> Callable[..., str]:
    """Fingerprint of a training in this tree, with changed parameters; nothing is trained."""
    seen: list[str] = []
    monkeypatch.setattr(stage, "_train", lambda _, __, mark, *___: seen.append(mark))
    monkeypatch.chdir(tmp_path)

    def find(**changes: Any) -> str:
        stage.run(train=TrainParams(**{**PARAMS, **changes}))
        return seen[-1]

    return find


def test_the_fingerprint_knows_every_parameter(fingerprint: Callable[..., str]) -> None:
    others = {key: value + 1 if isinstance(value, int) else 0.9 * value + 0.04 for key, value in _numbers().items()}
    others |= {"model": "tutorial", "precision": "bfloat16"}
    assert others.keys() == TrainParams.model_fields.keys()
    marks = {fingerprint(), *(fingerprint(**{key: value}) for key, value in others.items())}
    assert len(marks) == 1 + len(others)


def _numbers() -> dict[str, float]:
    return {key: value for key, value in PARAMS.items() if not isinstance(value, str)}


def test_the_fingerprint_knows_data_backend_and_code(
    fingerprint: Callable[..., str],
    shards: Shards,
    make_shards: Callable[..., Shards],
    idd_level1: ClassTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = [fingerprint(), fingerprint()]
    make_shards(shards.folder, idd_level1, kinds=5)
    marks.append(fingerprint())
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    marks.append(fingerprint())
    monkeypatch.setattr(stage, "code_digests", lambda *packages: dict.fromkeys(packages, "changed"))
    marks.append(fingerprint())
    assert marks[0] == marks[1]
    assert len(set(marks)) == 4


def test_what_auto_resolves_to_is_the_same_experiment(fingerprint: Callable[..., str]) -> None:
    assert fingerprint(precision="auto") == fingerprint(precision=resolve_precision("auto"))


@pytest.mark.parametrize(
    ("flags", "found"), [("flags : fpu amx_bf16 amx_tile", "bfloat16"), ("flags : fpu", "float32")]
)
def test_auto_precision_is_what_the_cpu_is_fast_at(flags: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: flags)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert resolve_precision("auto") == found
    assert [resolve_precision(asked) for asked in ("float32", "bfloat16")] == ["float32", "bfloat16"]


sides = st.integers(1, 40)


@given(sides, sides, st.sampled_from([1, 16, 32]), st.integers(1, 100), st.floats(0, 1))
def test_every_epoch_has_a_size_that_the_model_takes(
    high: int, wide: int, stride: int, epochs: int, share: float
) -> None:
    height, width = high * stride, wide * stride
    sizes = epoch_sizes(height, width, stride, epochs, share)
    assert len(sizes) == epochs
    first = round(share * epochs)
    assert sizes[first:] == [(height, width)] * (epochs - first)
    assert len(set(sizes[:first])) <= 1
    for reduced, whole in zip(sum(sizes[:first], ()), (height, width) * first, strict=True):
        assert reduced % stride == 0
        assert 0 < reduced <= whole
        assert abs(reduced - 0.75 * whole) <= stride / 2

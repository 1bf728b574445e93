import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from small_training import PARAMS, SHORT

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.shards import Shards, write_array, write_index
from roadseg.machine import instruction_set
from roadseg.machine.precision import resolve_precision
from roadseg.train import stage
from roadseg.train.data.batches import split_monitored
from roadseg.train.models.known import MODELS
from roadseg.train.params import TrainParams, epoch_sizes
from roadseg.train.run import fingerprint as identity
from roadseg.train.run.journal import read_journal
from roadseg.train.run.reporting import IMAGES, chosen
from roadseg.train.run.watched import read_watched
from roadseg.train.step import compiled


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
    assert bundle.card["history"] == digest_file(tree / "reports/history.csv")
    decides = [bundle.card[key] for key in ("backend", "keras", "precision", "threads", "instruction_set")]
    assert decides == ["tensorflow", keras.__version__, "float32", PARAMS["threads"], instruction_set.instruction_set()]
    assert f"float32 on {decides[-1]}" in twice[0].printed
    assert bundle.card["data"] == Shards.open(tree / "data/shards").digest
    assert bundle.size == (32, 64)
    [row] = pd.read_csv(tree / "reports/history.csv").to_dict("records")
    assert set(row) == {"epoch", "step", "loss", "learning_rate", "miou"} | {f"iou.{n}" for n in bundle.classes.names}
    entries = [entry for entry in read_journal(run)[0] if entry["kind"] != "system"]  # a slow machine has one
    assert [entry.get("text", entry["kind"]) for entry in entries] == ["start", "metric", "image", "done"]
    assert entries[1]["step"] == 1
    assert entries[1]["values"]["loss"] == pytest.approx(row["loss"])


def test_what_it_sees_in_monitored_images_is_kept_beside_the_journal(twice: list[Trained]) -> None:
    shards, watched = Shards.open(twice[0].tree / "data/shards"), read_watched(twice[0].run, 1)
    _, monitored = split_monitored(shards, PARAMS["monitor"], PARAMS["seed"])
    assert watched is not None
    assert watched.classes == shards.classes
    assert len(watched.images) == min(len(monitored), IMAGES)
    for number, (image, truth) in zip(
        chosen(len(monitored), IMAGES), zip(watched.images, watched.truth, strict=True), strict=True
    ):
        np.testing.assert_array_equal(image, monitored[number][0])
        np.testing.assert_array_equal(truth, monitored[number][1])
    whole = keras.saving.load_model(twice[0].tree / "models/bundle/model.keras").predict_on_batch(watched.images)
    assert watched.guess.shape == (len(watched.images), 16, 32)
    agree = (np.argmax(whole, -1)[:, ::2, ::2] == watched.guess).mean()
    assert agree > 0.9  # the bundle's normalisation is folded and its logits are enlarged


def test_the_bundle_names_every_image_of_the_training_split(twice: list[Trained]) -> None:
    samples = pd.read_parquet(twice[0].tree / "models/bundle/samples.parquet")
    assert samples["sample"].tolist() == sorted(Shards.open(twice[0].tree / "data/shards").index["sample"])
    assert samples["drive"].value_counts().to_dict() == {"a": 3, "b": 2, "c": 4}


def test_equal_work_gives_equal_bytes(twice: list[Trained]) -> None:
    names = [f"models/bundle/{name}" for name in ("model.keras", "card.json", "samples.parquet", "weights.npz")]
    for name in [*names, "reports/history.csv"]:
        one, two = ((run.tree / name).read_bytes() for run in twice)
        assert one == two, name


def test_a_class_that_never_occurs_is_named_before_training(twice: list[Trained]) -> None:
    printed = twice[0].printed
    assert printed.count("never occurs") == 1
    assert printed.index("class sky never occurs") < printed.index("epoch 1/1")


def test_a_class_of_the_monitored_drives_alone_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    stage._name_missing(["road", "sky", "bicycle"], np.array([5, 0, 0]), np.array([5, 0, 3]))
    absent, watched = capsys.readouterr().out.splitlines()
    assert "class sky never occurs" in absent
    assert "class bicycle occurs in the monitored drives alone: change train.seed or train.monitor" in watched


@pytest.fixture
def only_watched(tmp_path: Path, idd_level1: ClassTable, make_shards: Callable[..., Shards]) -> Shards:
    """Shards in whose watched drive alone is the seventh class."""
    shards = make_shards(tmp_path / "data/shards", idd_level1)
    watched = split_monitored(shards, PARAMS["monitor"], PARAMS["seed"])[1].locations[0][0]
    for name in set(shards.drives("train")) - {watched}:
        path = shards.folder / "train" / f"{name}.mask.npy"
        masks = np.load(path)
        write_array(path, np.where(masks == 6, 255, masks).astype(np.uint8))
    write_index(
        shards.folder, shards.framing, idd_level1, shards.class_pixels, pq.read_table(shards.folder / "index.parquet")
    )
    return Shards.open(shards.folder)


@pytest.mark.usefixtures("only_watched")
def test_classes_are_counted_after_the_monitored_drives_are_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], precision: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiled, "compiled", _stopping_here)
    with pytest.raises(RuntimeError, match="as far as it goes"):
        stage.run(train=TrainParams(**PARAMS))
    assert "class sky occurs in the monitored drives alone" in capsys.readouterr().out


def test_a_damaged_shard_is_named_before_training(
    shards: Shards, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, precision: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiled, "compiled", _stopping_here)
    path = shards.folder / "train/b.image.npy"
    write_array(path, 255 - np.load(path))
    with pytest.raises(UsageError, match=r"b\.image\.npy is not the file that preprocess wrote"):
        stage.run(train=TrainParams(**PARAMS))


def _stopping_here(*_: object, **__: object) -> None:
    raise RuntimeError("as far as it goes")


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
    monkeypatch.setattr(stage, "_train", lambda _, identity, *__: seen.append(identity.fingerprint))
    monkeypatch.chdir(tmp_path)

    def find(**changes: Any) -> str:
        stage.run(train=TrainParams(**{**PARAMS, **changes}))
        return seen[-1]

    return find


def test_the_fingerprint_knows_every_parameter(fingerprint: Callable[..., str]) -> None:
    others = {key: value + 1 if isinstance(value, int) else 0.9 * value + 0.04 for key, value in _numbers().items()}
    others |= {"model": "tutorial", "precision": "bfloat16", "init": "0" * 64}
    assert others.keys() == TrainParams.model_fields.keys()
    found = {fingerprint(), *(fingerprint(**{key: value}) for key, value in others.items())}
    assert len(found) == 1 + len(others)


def _numbers() -> dict[str, float]:
    return {key: value for key, value in PARAMS.items() if not isinstance(value, str)}


def test_the_fingerprint_knows_data_backend_and_code(
    fingerprint: Callable[..., str],
    shards: Shards,
    make_shards: Callable[..., Shards],
    idd_level1: ClassTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [fingerprint(), fingerprint()]
    make_shards(shards.folder, idd_level1, kinds=5)
    found.append(fingerprint())
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    found.append(fingerprint())
    monkeypatch.setattr(identity, "code_digests", lambda *packages: dict.fromkeys(packages, "changed"))
    found.append(fingerprint())
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_the_batch_of_auto_is_resolved_before_the_fingerprint(
    fingerprint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fingerprint(batch="auto") == fingerprint(batch=8)
    monkeypatch.setattr("roadseg.machine.hardware.machine_memory", lambda: 1 << 20)
    assert fingerprint(batch="auto") == fingerprint(batch=1)


def test_what_auto_resolves_to_is_the_same_experiment(fingerprint: Callable[..., str]) -> None:
    assert fingerprint(precision="auto") == fingerprint(precision=resolve_precision("auto", []))


ZEN_4 = "sse4_1 avx avx2 avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16"
AMX = f"{ZEN_4} amx_tile amx_int8 amx_bf16"


@pytest.mark.parametrize(
    ("flags", "limit", "found"),
    [
        (AMX, "", "bfloat16"),
        (ZEN_4, "", "bfloat16"),
        (ZEN_4, "AVX512_CORE", "float32"),
        ("sse4_1 avx avx2", "", "float32"),
        (AMX, "AVX512_CORE", "float32"),
    ],
)
def test_auto_precision_is_what_the_cpu_is_fast_at_and_the_backend_may_use(
    flags: str, limit: str, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(instruction_set, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert resolve_precision("auto", []) == found
    assert [resolve_precision(asked, ["9.0"]) for asked in ("float32", "bfloat16")] == ["float32", "bfloat16"]


@pytest.mark.parametrize(("capabilities", "found"), [(["9.0"], "bfloat16"), (["8.0", "7.5"], "float32")])
def test_auto_precision_is_what_every_gpu_has(capabilities: list[str], found: str) -> None:
    assert resolve_precision("auto", capabilities) == found


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

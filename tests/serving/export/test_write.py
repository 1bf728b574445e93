import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from bundles import HEIGHT, WIDTH, painter
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts import paths
from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError
from roadseg.contracts.evaluation import Counts
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.evaluate.scores import evaluated, summary
from roadseg.evaluate.stage import counted, images
from roadseg.predict.predictor import Predictor
from roadseg.serving.export import graph, quantise, write
from roadseg.serving.export.runtime import OnnxPredictor, run_by
from roadseg.serving.export.write import export_int8, export_onnx


@pytest.fixture
def bundle(tmp_path: Path, idd_level1: ClassTable) -> Bundle:
    return painter(tmp_path / "bundle", idd_level1, sure=4.0)


@pytest.fixture
def deep(tmp_path: Path, idd_level1: ClassTable) -> Bundle:
    """The painter behind two convolutions that change nothing: the middle one of three has something to round."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(image)
    for name in ("first", "middle"):
        x = keras.layers.Conv2D(3, 1, name=name)(x)
    colours = idd_level1.palette[: idd_level1.count] / 255
    model = keras.Model(image, keras.layers.Conv2D(idd_level1.count, 1, name="logits")(x), name="deep")
    same = [np.eye(3)[None, None], np.zeros(3)]
    model.set_weights([*same, *same, 8 * colours.T[None, None], -4 * (colours**2).sum(1)])
    card = {"height": HEIGHT, "width": WIDTH, "stride": 1, "classes": idd_level1.content, "output": "logits"}
    write_bundle(tmp_path / "deep", model, card, SAMPLES.empty_table())
    return Bundle.open(tmp_path / "deep")


@pytest.fixture
def tree(tmp_path: Path, scenes: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with generated scenes and a manifest of those with masks."""
    folder = tmp_path / "tree"
    (folder / "data").mkdir(parents=True)
    (folder / paths.RAW).symlink_to(scenes)
    monkeypatch.chdir(folder)
    rows = []
    for mask in sorted(paths.RAW.glob("gtFine/*/*/*_label.png")):
        image = Path(str(mask).replace("gtFine", "leftImg8bit").replace("_label.png", "_image.jpg"))
        split, drive = mask.parts[-3:-1]
        places = {name: path.relative_to(paths.RAW).as_posix() for name, path in (("image", image), ("mask", mask))}
        rows.append({"sample": f"{split}/{drive}/{mask.stem}", "split": split, "drive": drive, **places})
    write_manifest(paths.MANIFEST, "manifest", from_rows(rows, "idd_lite", idd_level1))
    return folder


def test_the_file_answers_as_the_bundle_through_the_one_predictor(tree: Path, bundle: Bundle) -> None:
    found = export_onnx(bundle, tree / "model.onnx", fixed=False)
    rows = read_manifest(paths.MANIFEST).records("val")
    theirs = OnnxPredictor(bundle, (tree / "model.onnx").read_bytes(), batch=3)
    for ours, other in zip(Predictor(bundle, batch=3)(images(rows)), theirs(images(rows)), strict=True):
        np.testing.assert_array_equal(ours, other)
    assert [(each.name, each.compared.moved, each.compared.worst) for each in found] == [
        ("bundle", 0, 0),
        ("onnx", 0, 0),
    ]
    miou = summary(evaluated(rows, counted(rows, Predictor(bundle, batch=3))), resamples=100, seed=0)["miou"]
    assert [each.compared.miou for each in found] == pytest.approx([miou, miou])
    assert all(each.milliseconds > 0 for each in found)
    assert found[1].size == (tree / "model.onnx").stat().st_size


def test_the_file_says_what_it_is(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = export_onnx(bundle, tmp_path / "model.onnx", fixed=True)
    assert [each.compared.miou for each in found] == [None, None]  # there is no val split here
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(about.pop("classes")) == bundle.classes.names
    assert json.loads(about.pop("framing")) == bundle.framing.content
    assert about == {"weights": bundle.card["weights"], "output": "logits", "stride": "1"}
    scores = run_by((tmp_path / "model.onnx").read_bytes())(np.zeros((2, *bundle.size, 3), np.uint8))
    assert scores.shape == (2, *bundle.size, bundle.classes.count)


def test_a_file_that_answers_otherwise_is_never_written(
    tree: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph.np, "transpose", lambda kernel, axes: -kernel.transpose(axes))
    with pytest.raises(RoadsegError, match=r"% of the pixels get another class in ONNX, over 0\.01%: nothing is"):
        export_onnx(bundle, tree / "model.onnx", fixed=False)
    assert not (tree / "model.onnx").exists()


def test_eight_bits_are_scored_on_the_val_split_beside_float(tree: Path, deep: Bundle) -> None:
    found = export_int8(deep, tree / "small.onnx", fixed=False, max_drop=0.05)
    assert [each.name for each in found] == ["bundle", "onnx", "onnx-int8"]
    rows, content = read_manifest(paths.MANIFEST).records("val"), (tree / "small.onnx").read_bytes()
    theirs = OnnxPredictor(deep, content, batch=4)
    counts: Counts = counted(rows, theirs)
    assert found[2].compared.miou == pytest.approx(summary(evaluated(rows, counts), resamples=100, seed=0)["miou"])
    assert 0 < found[2].compared.moved < found[2].compared.worst < 0.2
    assert {"QuantizeLinear", "DequantizeLinear"} <= {
        node.op_type for node in onnx.load_from_string(content).graph.node
    }


def test_eight_bits_that_cost_too_much_are_not_written(
    tree: Path, deep: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    dark = [np.zeros((*deep.size, 3), np.uint8)]  # all that is lighter is cut off
    real = quantise.quantised
    monkeypatch.setattr(quantise, "quantised", lambda content, tiles: real(content, dark))
    with pytest.raises(
        DataRefused, match=r"in 8 bits mIoU falls from 0\.\d+ to 0\.\d+, by more than --max-drop 0\.005"
    ):
        export_int8(deep, tree / "small.onnx", fixed=False, max_drop=0.005)
    assert not (tree / "small.onnx").exists()


def test_eight_bits_are_calibrated_on_training_images_alone(
    tree: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = write.read_image
    with monkeypatch.context() as patch:
        patch.setattr(write, "read_image", lambda path: seen.append(path.parts[-3]) or real(path))
        patch.setattr(quantise, "quantised", lambda content, tiles: [list(tiles)] and content)
        patch.setattr(write, "_asked", lambda *_: [Any, *[write.Exported("", write.Compared(1.0, 0, 0), 1, 1)] * 2])
        export_int8(bundle, tree / "small.onnx", fixed=False, max_drop=0.0)
    assert seen == ["train"] * 24


@pytest.mark.parametrize("without", ["manifest", "classes"])
def test_eight_bits_want_the_splits_of_the_model(tree: Path, tmp_path: Path, bundle: Bundle, without: str) -> None:
    if without == "manifest":
        paths.MANIFEST.unlink()
    else:
        bundle = painter(tmp_path / "other", ClassTable.find("road"))
    with pytest.raises(UsageError, match="calibrated on training images and scored on the val split: run it where"):
        export_int8(bundle, tree / "small.onnx", fixed=False, max_drop=0.005)


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime"])
def test_a_missing_extra_is_one_clear_sentence(
    tree: Path, bundle: Bundle, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("roadseg.serving.export.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    done = CliRunner().invoke(app, ["export", "--to", "onnx-int8", "--model", str(bundle.folder)])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == f"{absent} is not installed, which export needs: pip install 'roadseg[export]'"


def test_the_verb_prints_the_models_side_by_side(tree: Path, bundle: Bundle) -> None:
    told = ["export", "--to", "onnx", "-o", "out/model.onnx", "--model", str(bundle.folder), "--fixed"]
    done = CliRunner().invoke(app, told, env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "asked on the val split" in done.output
    assert "+0.00000" in done.output
    assert (tree / "out/model.onnx").is_file()

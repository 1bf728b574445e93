"""bfloat16 answers as float32 does, but for pixels that were nearly undecided; and no answer depends on another's."""

from pathlib import Path

import keras
import numpy as np
import pytest
from narrow_models import CLASSES, NARROW, settled

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.contracts.manifest import read_manifest
from roadseg.evaluate.scores import at_size
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image
from roadseg.machine.precision import AskedPrecision
from roadseg.predict.forward import in_precision
from roadseg.predict.predictor import Predictor
from roadseg.train.models.deploy import deploy


@pytest.fixture(scope="module")
def bundle(finished: Path) -> Bundle:
    return Bundle.open(finished / "models/bundle")


@pytest.fixture(scope="module")
def pictures(finished: Path) -> list[np.ndarray]:
    rows = read_manifest(finished / "data/manifest.parquet").records("val")
    return [read_image(finished / "data/raw" / row["image"]) for row in rows]


@pytest.mark.parametrize("kernels", ["this processor's", "none"])
def test_bfloat16_agrees_with_float32_on_nearly_all_pixels_and_scores_alike(
    finished: Path, bundle: Bundle, pictures: list[np.ndarray], kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "none":
        monkeypatch.setattr("roadseg.predict.forward.sums_bfloat16_in_float32", lambda: False)
    rows = read_manifest(finished / "data/manifest.parquet").records("val")
    truths = [read_classes(finished / "data/raw" / row["mask"], bundle.classes)[0] for row in rows]
    answers = [list(Predictor(bundle, precision=name)(pictures)) for name in ("float32", "bfloat16")]
    differ = [one != other for one, other in zip(*answers, strict=True)]
    assert 0 < np.mean([each.mean() for each in differ]) <= 0.005
    one, other = (
        sum(confusion(*at_size(*pair, (128, 256)), bundle.classes.count) for pair in zip(truths, masks, strict=True))
        for masks in answers
    )
    assert mean_iou(one) == pytest.approx(mean_iou(other), abs=1e-3)
    assert np.isfinite(iou(one)).any()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_answer_depends_on_nothing_else_in_its_batch(
    bundle: Bundle, pictures: list[np.ndarray], precision: AskedPrecision
) -> None:
    predictor = Predictor(bundle, batch=4, precision=precision)
    together = list(predictor.with_confidence(pictures[:7]))
    alone = Predictor(bundle, batch=1, precision=precision)
    for number, other in ((0, predictor), (2, alone), (6, predictor)):
        [(mask, confidence)] = other.with_confidence([pictures[number]])
        np.testing.assert_array_equal(mask, together[number][0])
        np.testing.assert_array_equal(confidence, together[number][1])


def test_the_settings_say_what_auto_became(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, found in (("avx512_core_amx", "bfloat16"), ("avx2", "float32")):
        monkeypatch.setattr("roadseg.machine.precision.instruction_set", lambda name=name: name)
        assert Predictor(bundle, precision="auto").settings["precision"] == found
    asked = Predictor(bundle, scales=[0.5, 1.0], flip=True, overlap=0.25, precision="bfloat16").settings
    height, width = bundle.size
    expected = {"flip": True, "scales": [0.5, 1.0], "overlap": 0.25, "height": height, "width": width}
    assert asked == expected | {"precision": "bfloat16"}


@pytest.mark.parametrize(("name", "lowered"), [("small", keras.layers.Layer), ("lite0", keras.layers.Conv2D)])
def test_scores_are_in_float32_and_beside_depthwise_kernels_all_but_dense_ones(
    name: str, lowered: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadseg.predict.forward.sums_bfloat16_in_float32", lambda: True)
    low = in_precision(deploy(settled(NARROW[name]), NARROW[name], CLASSES), "bfloat16", CLASSES)
    layers = [layer for layer in low.layers if not isinstance(layer, keras.layers.InputLayer)]
    found = {layer.name for layer in layers if layer.compute_dtype == "bfloat16"}
    assert found
    assert found == {each.name for each in layers if isinstance(each, lowered) and each.output.shape[-1] != CLASSES}

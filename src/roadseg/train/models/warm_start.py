"""Start a training from the weights of another, whose class table may have been smaller, or from an encoder's."""

import keras
import numpy as np

from roadseg.contracts.errors import UsageError
from roadseg.contracts.weights import Arrays, Weights
from roadseg.train.models.known import MODELS
from roadseg.train.models.pretrained_unet import encoder_paths


def start_from(parent: Weights, model: keras.Model, name: str, classes: list[str]) -> None:
    """Give `model` the parent's weights; the last layer keeps a class by its name, and new ones start anew.

    Of a pretrained encoder it is the encoder's weights, and the decoder stays as it was made.

    Args:
        parent: whose weights.
        model: built, its last layer has the classes on the last axis of each variable.
        name: of the architecture in params.yaml.
        classes: their names, in the order of the output.

    Raises:
        UsageError: the parent is of another architecture; names both.
    """
    if parent.model != name:
        raise UsageError(
            f"params.yaml: train.init: the weights {parent.digest[:12]} are of model {parent.model} and train.model is "
            f"{name}: set train.model to {parent.model}, or train.init to none"
        )
    outputs = {weight.path for weight in model.layers[-1].weights}
    wanted = set(encoder_paths(model, MODELS[name].encoder)) if parent.pretrained else {w.path for w in model.weights}
    filled = [weight for weight in model.weights if weight.path in wanted]
    own = {weight.path: np.array(keras.ops.convert_to_numpy(weight)) for weight in filled}
    taken = {
        path: _by_class(parent.arrays.get(path), parent.classes, value, classes)
        if path in outputs
        else parent.arrays.get(path)
        for path, value in own.items()
    }
    _check(parent, taken, own)
    for weight in filled:
        weight.assign(taken[weight.path])
    if parent.pretrained:
        print(f"train: the encoder starts from the pretrained weights {parent.digest[:12]}, the rest anew", flush=True)
        return
    print(f"train: starts from the weights {parent.digest[:12]} of training {parent.fingerprint[:8]}", flush=True)
    for said, some, others in (
        ("new, learnt from nothing", classes, parent.classes),
        ("gone", parent.classes, classes),
    ):
        if names := [each for each in some if each not in others]:
            print(f"train: classes that are {said}: {', '.join(names)}", flush=True)


def weights_of(model: keras.Model) -> Arrays:
    """Every weight of a model by its path, for `write_weights`."""
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def _by_class(old: np.ndarray | None, before: list[str], new: np.ndarray, now: list[str]) -> np.ndarray | None:
    """`new` with what `old` knows of each class of the same name on the last axis."""
    if old is None or old.shape[-1] != len(before) or old.shape[:-1] != new.shape[:-1]:
        return old  # not this layer: told by its shape
    merged = new.copy()
    for place, name in enumerate(now):
        if name in before:
            merged[..., place] = old[..., before.index(name)]
    return merged


def _check(parent: Weights, taken: dict[str, np.ndarray | None], own: Arrays) -> None:
    shapes = {path: value.shape for path, value in own.items()}
    found = {path: None if value is None else value.shape for path, value in taken.items()}
    odd = [path for path in sorted(shapes) if found[path] != shapes[path]] + sorted(parent.arrays.keys() - own.keys())
    if odd:
        path = odd[0]
        there = parent.arrays[path].shape if path in parent.arrays else "absent"
        raise UsageError(
            f"params.yaml: train.init: the weights {parent.digest[:12]} are of another {parent.model}: {path} is "
            f"{there} there and {shapes.get(path, 'absent')} here ({len(odd)} differ): set train.init to none"
        )

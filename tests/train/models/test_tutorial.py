"""The baseline is the model of the facts, layer for layer."""

from itertools import pairwise

import keras
from narrow_models import CLASSES

from roadseg.train.models import tutorial


def conv(inputs: int, filters: int, size: int = 3) -> int:
    return size * size * inputs * filters + filters


def describe(layer: keras.layers.Layer) -> tuple[object, ...]:
    said = layer.get_config()
    match type(layer).__name__:
        case "Conv2D":
            start = said["kernel_initializer"]["class_name"] if said["kernel_size"] == (3, 3) else "any"
            return "conv", said["filters"], said["kernel_size"], said["strides"], said["activation"], start
        case "Conv2DTranspose":
            return "up", said["filters"], said["kernel_size"], said["strides"], said["activation"]
        case "MaxPooling2D":
            return "pool", said["pool_size"], said["strides"]
        case "Dropout":
            return "dropout", said["rate"]
        case "Rescaling":
            return "rescale", said["scale"], said["offset"]
        case other:
            return (other,)


def test_tutorial_is_the_facts_unet_layer_for_layer() -> None:
    def twice(filters: int) -> list[tuple[object, ...]]:
        return [("conv", filters, (3, 3), (1, 1), "relu", "HeNormal")] * 2

    def up(filters: int) -> list[tuple[object, ...]]:
        return [("up", filters, (3, 3), (2, 2), "linear"), ("Concatenate",), ("dropout", 0.3), *twice(filters)]

    expected: list[tuple[object, ...]] = [("InputLayer",), ("rescale", 1 / 255, 0.0)]
    for filters in (64, 128, 256, 512):
        expected += [*twice(filters), ("pool", (2, 2), (2, 2)), ("dropout", 0.3)]
    expected += [*twice(1024), *up(512), *up(256), *up(128), *up(64)]
    expected += [("conv", CLASSES, (1, 1), (1, 1), "softmax", "any")]
    model = tutorial.build(CLASSES)
    assert [describe(layer) for layer in model.layers] == expected
    for depth in range(4):
        deep, skip = model.get_layer(f"decoder{depth}_skip").input
        assert deep is model.get_layer(f"decoder{depth}_up").output
        assert skip is model.get_layer(f"encoder{depth}_b").output


def test_tutorial_has_the_parameters_of_its_description() -> None:
    widths = [3, 64, 128, 256, 512, 1024]
    down = sum(conv(a, b) + conv(b, b) for a, b in pairwise(widths))
    up = sum(conv(2 * f, f) + conv(2 * f, f) + conv(f, f) for f in (512, 256, 128, 64))
    assert tutorial.build(CLASSES).count_params() == down + up + conv(64, CLASSES, size=1) == 34_513_735

"""What a model costs, counted from the shapes of its layers."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from roadseg.train.models.known import Architecture


@dataclass(frozen=True)
class Cost:
    """Of a model and one image.

    Attributes:
        parameters: numbers that are stored, the averages of normalisations among them.
        multiply_adds: of the convolutions forward; a multiplication with its addition is one, so FLOP are twice that.
        weight_bytes: of the parameters in float32.
        activation_bytes: float32, every layer's output, which a backward pass keeps: an upper bound, since what runs
            in place is counted too; bfloat16 takes half.
        stride: height and width must be multiples of it.
    """

    parameters: int
    multiply_adds: int
    weight_bytes: int
    activation_bytes: int
    stride: int


def cost(architecture: Architecture, classes: int, height: int, width: int) -> Cost:
    """Count for the model as it is trained.

    Args:
        architecture: which model.
        classes: number of classes K.
        height, width: of the image, pixels.

    Raises:
        ValueError: a side is no multiple of the stride.
    """
    if height % architecture.stride or width % architecture.stride:
        raise ValueError(f"{height}x{width}: both sides must be multiples of {architecture.stride}")
    model = architecture.build(classes)
    shapes = sized(model, height, width)
    made = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    parameters = int(model.count_params())
    return Cost(
        parameters=parameters,
        multiply_adds=sum(_multiply_adds(layer, shapes) for layer in made),
        weight_bytes=4 * parameters,
        activation_bytes=4 * sum(int(np.prod(shapes[id(layer.output)])) for layer in made),
        stride=architecture.stride,
    )


def sized(model: keras.Model, height: int, width: int) -> dict[int, tuple[int, ...]]:
    """Height, width and channels of each tensor of the model, by its identity."""
    tensors = [layer.output for layer in model.layers]
    outputs = keras.Model(model.input, tensors)(keras.Input((height, width, 3), dtype="uint8"))
    return {id(tensor): tuple(known.shape[1:]) for tensor, known in zip(tensors, outputs, strict=True)}


def _multiply_adds(layer: keras.layers.Layer, shapes: dict[int, tuple[int, ...]]) -> int:
    if not isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
        return 0
    # a convolution uses its kernel once for each place that comes out, a transposed one for each that goes in
    height, width, _ = shapes[id(layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output)]
    return int(height * width * np.prod(layer.kernel.shape))

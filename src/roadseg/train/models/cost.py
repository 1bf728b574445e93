"""What a model costs, counted from the shapes of its layers."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from roadseg.contracts.batch_size import Shapes, output_bytes, output_shapes
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
    shapes = output_shapes(model, height, width)
    parameters = int(model.count_params())
    return Cost(
        parameters=parameters,
        multiply_adds=sum(_multiply_adds(layer, shapes) for layer in model.layers),
        weight_bytes=4 * parameters,
        activation_bytes=output_bytes(model, shapes),
        stride=architecture.stride,
    )


def _multiply_adds(layer: keras.layers.Layer, shapes: Shapes) -> int:
    if not isinstance(layer, layers.Conv2D | layers.Conv2DTranspose | layers.DepthwiseConv2D):
        return 0
    # a convolution, depthwise too, uses its kernel once for each place that comes out, a transposed one for each that
    # goes in
    height, width, _ = shapes[id(layer.input if isinstance(layer, layers.Conv2DTranspose) else layer.output)]
    return int(height * width * np.prod(layer.kernel.shape))

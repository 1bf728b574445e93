"""How many images fit into the memory of the device that computes; training and prediction share it."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

SHARE = 0.5  # of the memory; the rest is the data's, the graph's and other programs'
Shapes = dict[int, tuple[int, ...]]  # height, width and channels by the identity of a tensor


def fitting_batch(most: int, fixed: int, image: int, memory: int) -> int:
    """`most` images, halved until they take at most half of the memory, and one in any case.

    Args:
        most: images.
        fixed: bytes that any batch takes.
        image: bytes that each image takes.
        memory: bytes of the device that computes.
    """
    batch, limit = most, SHARE * memory
    while batch > 1 and fixed + batch * image > limit:
        batch //= 2
    return batch


def output_shapes(model: "keras.Model", height: int, width: int) -> Shapes:
    """The shape of every layer's output for an image of this size, pixels; nothing is computed."""
    import keras

    tensors = [layer.output for layer in model.layers]
    sized = keras.Model(model.input, tensors)(keras.Input((height, width, 3), dtype="uint8"))
    return {
        id(tensor): tuple(known.shape[1:]) for tensor, known in zip(tensors, keras.tree.flatten(sized), strict=True)
    }


def output_bytes(model: "keras.Model", shapes: Shapes) -> int:
    """Bytes of all outputs in float32, the image not among them: more than is ever held at once."""
    outputs = [layer.output for layer in model.layers if layer.output is not model.input]
    return 4 * sum(int(np.prod(shapes[id(output)])) for output in outputs)

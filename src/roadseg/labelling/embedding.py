"""How alike pictures are to the model: the mean of its own neck over the picture."""

from collections.abc import Iterable, Iterator
from itertools import islice

import keras
import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.imaging.pixels import resize_image
from roadseg.predict.forward import Forward, filled_to, forward

DIMENSIONS = 64  # of what is kept; wider necks are projected
BATCH = 8  # pictures at once


class Embedder:
    """From pictures to vectors of length one, at the model's working size."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the model, up to its neck."""
        model, self._size = bundle.load(), bundle.size
        pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(neck_of(model, *self._size).output)
        self._model = keras.Model(model.inputs, pooled)
        width = int(pooled.shape[-1])
        rng = np.random.Generator(np.random.PCG64(0))
        self._project = rng.standard_normal((width, DIMENSIONS), np.float32) if width > DIMENSIONS else None
        self.width = min(width, DIMENSIONS)
        self._forward: dict[int, Forward] = {}

    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Embed a stream; a batch of images is in memory.

        Args:
            images: uint8 (H, W, 3) each, sizes may differ.

        Yields:
            float32 (D,) of length one for each image, in order; D is `width`.

        Source of the projection, which keeps distances: Johnson and Lindenstrauss, 1984.
        """
        stream = iter(images)
        while group := [resize_image(image, *self._size) for image in islice(stream, BATCH)]:
            filled = filled_to(len(group), BATCH)
            batch = np.zeros((filled, *self._size, 3), np.uint8)
            batch[: len(group)] = group
            if filled not in self._forward:
                self._forward[filled] = forward(self._model, batch.shape)
            means = self._forward[filled](batch)[: len(group)]
            vectors = means if self._project is None else means @ self._project
            yield from vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def neck_of(model: keras.Model, height: int, width: int) -> keras.layers.Layer:
    """The last layer whose output has the fewest places, more than one: what a decoder starts from.

    Args:
        model: of any kind; one that keeps the size has its last layer but one as neck.
        height, width: of its input, pixels.
    """
    layers = [layer for layer in model.layers[:-1] if len(layer.output.shape) == 4]
    probe = keras.Model(model.inputs, [layer.output for layer in layers])
    shapes = [one.shape for one in probe.compute_output_spec([keras.KerasTensor((1, height, width, 3), "uint8")])]
    sizes = {layer.name: int(np.prod(shape[1:3])) for layer, shape in zip(layers, shapes, strict=True)}
    fewest = min(size for size in sizes.values() if size > 1)
    return model.get_layer([name for name, size in sizes.items() if size == fewest][-1])

"""The one way from an image to a mask at the image's own size."""

from collections.abc import Iterable, Iterator
from itertools import islice

import keras
import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.imaging.pixels import resize_image
from roadseg.imaging.tiles import cut, join


class Predictor:
    """Predicts images of any size with a bundle; evaluates, serves and answers the gate alike."""

    def __init__(self, bundle: Bundle, *, batch: int, flip: bool = False) -> None:
        """Load the model.

        Args:
            bundle: what to predict with.
            batch: images read, and tiles predicted, at once.
            flip: average with the mirrored image.
        """
        self.bundle = bundle
        self._model, self._batch, self._flip = bundle.load(), batch, flip
        self._framing = bundle.framing

    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream; only one batch is in memory.

        Args:
            images: uint8 (H, W, 3) each, sizes may differ.

        Yields:
            uint8 (H, W) class ids for each image, in order.
        """
        stream = iter(images)
        while group := list(islice(stream, self._batch)):
            tiles = [self._tiles(image) for image in group]
            scores = np.split(self._scores(np.concatenate(tiles)), np.cumsum([len(part) for part in tiles])[:-1])
            for image, part in zip(group, scores, strict=True):
                # classes are compared at the image's own size: edges come out smoother than enlarged ids
                joined = join(part, self._framing, *image.shape[:2])
                full = keras.ops.image.resize(joined[None], image.shape[:2], interpolation="bilinear")
                yield keras.ops.convert_to_numpy(keras.ops.argmax(full[0], -1)).astype(np.uint8)

    def _tiles(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        y0, x0, y1, x1 = self._framing.place(height, width)
        return cut(resize_image(image, y1 - y0, x1 - x0), self._framing, height, width, padding=0)

    def _scores(self, tiles: np.ndarray) -> np.ndarray:
        batches = [tiles[start : start + self._batch] for start in range(0, len(tiles), self._batch)]
        scores = [self._model.predict_on_batch(batch) for batch in batches]
        if self._flip:
            mirrored = [self._model.predict_on_batch(batch[:, :, ::-1])[:, :, ::-1] for batch in batches]
            scores = [straight + other for straight, other in zip(scores, mirrored, strict=True)]
        return np.concatenate(scores)

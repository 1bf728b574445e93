"""The one way from an image to a mask at the image's own size."""

from collections.abc import Iterable, Iterator
from itertools import islice

import keras
import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.imaging.pixels import resize_image


class Predictor:
    """Predicts images of any size with a bundle; evaluates, serves and answers the gate alike."""

    def __init__(self, bundle: Bundle, *, batch: int, flip: bool = False) -> None:
        """Load the model.

        Args:
            bundle: what to predict with.
            batch: images predicted at once.
            flip: average with the mirrored image.
        """
        self.bundle = bundle
        self._model, self._batch, self._flip = bundle.load(), batch, flip

    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream; only one batch is in memory.

        Args:
            images: uint8 (H, W, 3) each, sizes may differ.

        Yields:
            uint8 (H, W) class ids for each image, in order.
        """
        stream = iter(images)
        while group := list(islice(stream, self._batch)):
            inputs = np.stack([resize_image(image, *self.bundle.size) for image in group])
            for image, scores in zip(group, self._scores(inputs), strict=True):
                # classes are compared at the image's own size: edges come out smoother than enlarged ids
                full = keras.ops.image.resize(scores[None], image.shape[:2], interpolation="bilinear")
                yield keras.ops.convert_to_numpy(keras.ops.argmax(full[0], -1)).astype(np.uint8)

    def _scores(self, inputs: np.ndarray) -> np.ndarray:
        scores = self._model.predict_on_batch(inputs)
        if self._flip:
            scores = scores + self._model.predict_on_batch(inputs[:, :, ::-1])[:, :, ::-1]
        return np.asarray(scores)

"""The one way from an image to a mask at the image's own size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import keras
import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.framing import Framing
from roadseg.imaging.pixels import resize_image
from roadseg.imaging.tiles import cut, join


class Predictor:
    """Predicts images of any size with a bundle; evaluates, serves and answers the gate alike."""

    def __init__(self, bundle: Bundle, *, batch: int, flip: bool = False, scales: Sequence[float] = (1.0,)) -> None:
        """Load the model.

        Args:
            bundle: what to predict with.
            batch: images read, and tiles predicted, at once.
            flip: average with the mirrored image.
            scales: of the working size; scores are averaged over them.
        """
        self.bundle = bundle
        self._model, self._batch, self._flip = bundle.load(), batch, flip
        self._framings = [_scaled(bundle.framing, scale, bundle.card["stride"]) for scale in scales]

    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream; only one batch is in memory.

        Args:
            images: uint8 (H, W, 3) each, sizes may differ.

        Yields:
            uint8 (H, W) class ids for each image, in order.
        """
        for scores in self._at_full_size(images):
            yield _ids(scores)

    def with_confidence(self, images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Predict a stream as calling does.

        Yields:
            The same ids, and float32 (H, W): the probability given to each, 0..1.
        """
        for scores in self._at_full_size(images):
            yield _ids(scores), keras.ops.convert_to_numpy(keras.ops.max(self._probabilities(scores), -1))

    def probabilities(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream as calling does.

        Yields:
            float32 (H, W, K) for each image: the probability given to each class, 0..1; they sum to 1.
        """
        for scores in self._at_full_size(images):
            yield keras.ops.convert_to_numpy(self._probabilities(scores))

    def _probabilities(self, scores: keras.KerasTensor) -> keras.KerasTensor:
        if self.bundle.card.get("output") != "probabilities":
            scores = keras.ops.exp(scores - keras.ops.max(scores, -1, keepdims=True))
        return scores / keras.ops.sum(scores, -1, keepdims=True)

    def _at_full_size(self, images: Iterable[np.ndarray]) -> Iterator[keras.KerasTensor]:
        """Scores (H, W, K) of each image: classes are compared there, so edges come out smoother than enlarged ids."""
        stream = iter(images)
        while group := list(islice(stream, self._batch)):
            views = [self._joined(group, framing) for framing in self._framings]
            for image, *parts in zip(group, *views, strict=True):
                size = image.shape[:2]
                full = [keras.ops.image.resize(part[None], size, interpolation="bilinear")[0] for part in parts]
                yield full[0] if len(full) == 1 else keras.ops.mean(keras.ops.stack(full), 0)

    def _joined(self, group: list[np.ndarray], framing: Framing) -> list[np.ndarray]:
        tiles = [_tiles(image, framing) for image in group]
        scores = np.split(self._scores(np.concatenate(tiles)), np.cumsum([len(part) for part in tiles])[:-1])
        return [join(part, framing, *image.shape[:2]) for image, part in zip(group, scores, strict=True)]

    def _scores(self, tiles: np.ndarray) -> np.ndarray:
        batches = [tiles[start : start + self._batch] for start in range(0, len(tiles), self._batch)]
        scores = [self._model.predict_on_batch(batch) for batch in batches]
        if self._flip:
            mirrored = [self._model.predict_on_batch(batch[:, :, ::-1])[:, :, ::-1] for batch in batches]
            scores = [(straight + other) / 2 for straight, other in zip(scores, mirrored, strict=True)]
        return np.concatenate(scores)


def _scaled(framing: Framing, scale: float, stride: int) -> Framing:
    height, width = (max(stride, round(side * scale / stride) * stride) for side in (framing.height, framing.width))
    return replace(framing, height=height, width=width)


def _tiles(image: np.ndarray, framing: Framing) -> np.ndarray:
    height, width = image.shape[:2]
    y0, x0, y1, x1 = framing.place(height, width)
    return cut(resize_image(image, y1 - y0, x1 - x0), framing, height, width, padding=0)


def _ids(scores: keras.KerasTensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.argmax(scores, -1)).astype(np.uint8))

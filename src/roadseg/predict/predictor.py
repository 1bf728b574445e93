"""The one way from an image to a mask at the image's own size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, reduce
from itertools import islice
from operator import add
from typing import Any, Literal, TypeVar

import keras
import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.framing import Framing
from roadseg.imaging.pixels import resize_image
from roadseg.imaging.tiles import cut, join
from roadseg.machine.backend import backend_version
from roadseg.machine.hardware import capabilities
from roadseg.machine.instruction_set import instruction_set
from roadseg.machine.precision import AskedPrecision, resolve_precision
from roadseg.predict.batch import fitting_tiles
from roadseg.predict.enlarging import enlarged_at_once
from roadseg.predict.forward import Forward, filled_to, forward, in_precision

Answer = TypeVar("Answer")
AT_FULL_SIZE = 2  # images whose scores are in memory at once; the operations on them have a thread each


class Predictor:
    """Predicts images of any size with a bundle; evaluates, serves and answers the gate alike."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch: int | Literal["auto"] = "auto",
        flip: bool = False,
        scales: Sequence[float] = (1.0,),
        overlap: float = 0.0,
        precision: AskedPrecision = "float32",
    ) -> None:
        """Load the model.

        Args:
            bundle: what to predict with.
            batch: tiles predicted at once; auto: sized to the device, see `fitting_tiles`. It changes no score by more
                than rounding; on a CPU under TensorFlow none at all. No score depends on what else is predicted.
            flip: average with the mirrored image.
            scales: factors of the working size; scores are averaged over them.
            overlap: with 0 a scale enlarges the tiles. Over 0 a window of the working size slides over the scaled
                frame instead, and neighbouring windows share at least this part of their side: scores are averaged
                where they do, and the model's memory does not grow with the frame.
            precision: that the model computes in; auto: what the device is fast at, see `resolve_precision`.
        """
        self.bundle = bundle
        self.precision = resolve_precision(precision, capabilities() if precision == "auto" else [])
        self._model = in_precision(bundle.load(), self.precision, bundle.classes.count)
        self._flip, self._scales, self._overlap = flip, tuple(scales), overlap
        self._answers_probabilities = bundle.card.get("output") == "probabilities"
        self._framings = [_scaled(bundle.framing, scale, bundle.card["stride"], overlap) for scale in scales]
        self._batch = fitting_tiles(self._model, self._framings) if batch == "auto" else batch
        self._images = max(1, self._batch // max(len(framing.corners) for framing in self._framings))
        self._forward: dict[tuple[int, ...], Forward] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """What is asked beside the weights: flip, scales, overlap, working height and width, precision."""
        height, width = self.bundle.size
        return {
            "flip": self._flip,
            "scales": list(self._scales),
            "overlap": self._overlap,
            "height": height,
            "width": width,
            "precision": self.precision,
        }

    @property
    def images(self) -> int:
        """How many images are predicted at once."""
        return self._images

    @property
    def rounding(self) -> dict[str, Any]:
        """What decides beside weights, settings and the shape of a batch how sums are rounded."""
        return {"backend": " ".join(backend_version()), "instruction_set": instruction_set(capabilities())}

    def __call__(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream; only so many images as make a batch are in memory.

        Args:
            images: uint8 (H, W, 3) each, sizes may differ.

        Yields:
            uint8 (H, W) class ids for each image, in order.
        """
        return self._at_full_size(images, lambda scores: _best(scores)[1])

    def with_confidence(self, images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Predict a stream as calling does.

        Yields:
            The same ids, and float32 (H, W): the probability given to each, 0..1.
        """

        def finish(scores: keras.KerasTensor) -> tuple[np.ndarray, np.ndarray]:
            best, ids = _best(scores)
            if self._answers_probabilities:
                confidence = best[..., 0] / keras.ops.sum(scores, -1)
            else:  # of the likeliest class alone, at half the cost of all probabilities
                confidence = 1 / keras.ops.sum(keras.ops.exp(scores - best), -1)
            return ids, keras.ops.convert_to_numpy(confidence)

        return self._at_full_size(images, finish)

    def probabilities(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Predict a stream as calling does.

        Yields:
            float32 (H, W, K) for each image: the probability given to each class, 0..1; they sum to 1.
        """

        def finish(scores: keras.KerasTensor) -> np.ndarray:
            if not self._answers_probabilities:
                scores = keras.ops.exp(scores - keras.ops.max(scores, -1, keepdims=True))
            return np.asarray(keras.ops.convert_to_numpy(scores / keras.ops.sum(scores, -1, keepdims=True)))

        return self._at_full_size(images, finish)

    def _at_full_size(
        self, images: Iterable[np.ndarray], finish: Callable[[keras.KerasTensor], Answer]
    ) -> Iterator[Answer]:
        """What `finish` makes of the scores (H, W, K) of each image, of two at a time.

        Classes are compared at full size, so edges come out smoother than enlarged ids.
        """

        def answer(image: np.ndarray, *parts: np.ndarray) -> Answer:
            size = image.shape[:2]
            # added up one by one: at full size scores are the largest thing in memory
            total = reduce(add, (keras.ops.image.resize(part[None], size, "bilinear")[0] for part in parts))
            return finish(total if len(parts) == 1 else total / len(parts))

        stream = iter(images)
        with ThreadPoolExecutor(AT_FULL_SIZE) as workers:
            while group := list(islice(stream, self._images)):
                views = zip(group, *(self._joined(group, framing) for framing in self._framings), strict=True)
                while some := list(islice(views, AT_FULL_SIZE)):
                    yield from workers.map(answer, *zip(*some, strict=True))

    def _joined(self, group: list[np.ndarray], framing: Framing) -> list[np.ndarray]:
        tiles = [_tiles(image, framing) for image in group]
        scores = self._scores(np.concatenate(tiles))
        parts = zip(group, tiles, strict=True)
        return [join(islice(scores, len(own)), framing, *image.shape[:2]) for image, own in parts]

    def _scores(self, tiles: np.ndarray) -> Iterator[np.ndarray]:
        """The scores of each tile, float32 (H, W, K); a batch of them is in memory."""
        for start in range(0, len(tiles), self._batch):
            batch = tiles[start : start + self._batch]
            added = filled_to(len(batch), self._batch) - len(batch)
            filled = np.concatenate([batch, np.zeros((added, *batch.shape[1:]), np.uint8)])
            scores = self._predict(filled)
            if self._flip:
                scores = (scores + self._predict(filled[:, :, ::-1])[:, :, ::-1]) / 2
            yield from scores[: len(batch)]

    @cached_property
    def _faster(self) -> keras.Model:
        return enlarged_at_once(self._model)

    def _predict(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape not in self._forward:
            self._forward[batch.shape] = forward(self._faster, batch.shape)
        return self._forward[batch.shape](batch)


def _scaled(framing: Framing, scale: float, stride: int, overlap: float) -> Framing:
    kept = min(scale, 1.0) if overlap else scale  # of the tile: a window is never larger than the working size
    height, width = (max(stride, round(side * kept / stride) * stride) for side in (framing.height, framing.width))
    return replace(framing, height=height, width=width, zoom=scale / kept, overlap=overlap)


def _tiles(image: np.ndarray, framing: Framing) -> np.ndarray:
    height, width = image.shape[:2]
    y0, x0, y1, x1 = framing.place(height, width)
    return cut(resize_image(image, y1 - y0, x1 - x0), framing, height, width, padding=0)


def _best(scores: keras.KerasTensor) -> tuple[keras.KerasTensor, np.ndarray]:
    """The highest score (H, W, 1) and its class, uint8 (H, W); of equal ones the first, as argmax in half its time."""
    best, ids = keras.ops.top_k(scores, 1)
    return best, keras.ops.convert_to_numpy(ids)[..., 0].astype(np.uint8)

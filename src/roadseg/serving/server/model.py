"""One loaded model, asked alone or in batches: an image's answer is the same either way."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.predict.predictor import Predictor

Wanted = Literal["ids", "confidence", "probabilities"]
Answer = tuple[np.ndarray, np.ndarray | None]  # ids or probabilities, and confidence where it was wanted


class Model:
    """Predicts waiting images with the one `Predictor`.

    A batch has a fixed shape and is filled up, so a lone image would pay for a whole one. It is predicted in a batch
    of one instead, where that rounds alike here; else all go the same, dearer way.
    """

    def __init__(self, bundle: Bundle, settings: dict[str, Any]) -> None:
        """Load, and ask it once in each way.

        Args:
            bundle: to predict with.
            settings: of the `Predictor`: flip, scales, overlap, precision.

        Raises:
            UsageError: the file is not of our kind, or the model does not answer as its card says.
        """
        self.bundle = bundle
        self._batched = Predictor(bundle, **settings)
        lone = Predictor(bundle, batch=1, **settings)
        pictures = _generated(*bundle.size, number=max(2, self._batched.images))
        answers = [list(each.probabilities(pictures)) for each in (self._batched, lone)]
        self.alike = all(np.array_equal(*pair) for pair in zip(*answers, strict=True))
        self._lone = lone if self.alike else self._batched
        self._check(pictures)

    @property
    def images(self) -> int:
        """How many images make a batch."""
        return self._batched.images

    @property
    def settings(self) -> dict[str, Any]:
        """See `Predictor.settings`."""
        return self._batched.settings

    def __call__(self, images: Sequence[np.ndarray], wanted: Wanted) -> Iterator[Answer]:
        """Predict images uint8 (H, W, 3), as many at once as make a batch and the others alone; in order."""
        for start in range(0, len(images), self.images):
            group = images[start : start + self.images]
            predictor = self._batched if len(group) == self.images else self._lone
            if wanted == "confidence":
                yield from predictor.with_confidence(group)
            else:
                yield from ((each, None) for each in (predictor if wanted == "ids" else predictor.probabilities)(group))

    def _check(self, pictures: list[np.ndarray]) -> None:
        for kind in ("ids", "confidence"):
            for picture, (ids, _) in zip(pictures, self(pictures, kind), strict=True):
                if ids.shape != picture.shape[:2] or ids.max() >= self.bundle.classes.count:
                    raise UsageError(
                        f"{self.bundle.folder} answers {ids.shape} with ids up to {ids.max()} for an image "
                        f"{picture.shape}: it is no model of {self.bundle.classes.name}"
                    )


def _generated(height: int, width: int, number: int) -> list[np.ndarray]:
    """Noise of several scales, uint8 (H, W, 3), a little larger than the working size: all steps are taken."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (9, 16, 3), np.uint8) for _ in range(number)]
    repeats = [-(-(height + 16) // 9), -(-(width + 16) // 16)]
    return [
        np.repeat(np.repeat(each, repeats[0], 0), repeats[1], 1) // 2 + _fine(rng, each, repeats) for each in coarse
    ]


def _fine(rng: np.random.Generator, coarse: np.ndarray, repeats: list[int]) -> np.ndarray:
    height, width, channels = coarse.shape
    return rng.integers(0, 128, (height * repeats[0], width * repeats[1], channels), np.uint8)


def load(folder: Path, settings: dict[str, Any]) -> Model:
    """Open a bundle and load it.

    Raises:
        UsageError: see `Model`.
    """
    return Model(Bundle.open(folder), settings)

"""How fast a training goes, and what it waits for."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Throughput:
    """Of one epoch, as far as this process makes it.

    Attributes:
        images: whose steps are done.
        waited: seconds for which steps waited for their data.
        stepped: seconds from the first step's data to the end of the last step, `waited` among them.
    """

    images: int = 0
    waited: float = 0.0
    stepped: float = 0.0
    _began: float = field(default_factory=lambda: time.monotonic())

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; a step lasts from one to the next."""
        before = time.monotonic()
        for batch in batches:
            came = time.monotonic()
            self.waited += came - before
            yield batch
            done = time.monotonic()
            self.stepped += done - before
            before = done

    @property
    def seconds(self) -> float:
        """Since the epoch began, what is done beside its steps among them."""
        return time.monotonic() - self._began

    def figures(self) -> dict[str, float]:
        """By MLflow's metric names: images per second and the share 0..1 of waiting, both of the steps alone."""
        if not self.stepped:
            return {}
        return {"pace.images_per_second": self.images / self.stepped, "pace.waiting": self.waited / self.stepped}


def seconds_left(seconds: float, sizes: list[tuple[int, int]], done: int) -> float:
    """Estimate from the last epoch how long the others take, by the pixels of their images.

    Args:
        seconds: that the last epoch took.
        sizes: height and width of the images in each epoch.
        done: epochs that have ended, at least one.
    """
    pixels = [height * width for height, width in sizes]
    return seconds * sum(pixels[done:]) / pixels[done - 1]


def described(figures: dict[str, float], left: float) -> str:
    """For the log: `45.6 images/s, 0.3 % waiting, 1.9 GB, 12 min left`; memory is the highest so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    ending = f"{memory:.1f} GB, {left / 60:.0f} min left" if left else f"{memory:.1f} GB"
    if not figures:
        return ending
    return f"{figures['pace.images_per_second']:.1f} images/s, {figures['pace.waiting']:.1%} waiting, {ending}"

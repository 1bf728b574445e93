"""From shards to batches: which drives are watched, in which order pairs come, and one batch ahead."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.shards import Shards
from roadseg.train.data.sampling import SampledPair, class_uniform_sampling
from roadseg.train.data.view import WHOLE, View, ViewRecipe, apply, centred, random_view

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Pairs:
    """Labelled tiles, memory-mapped; `locations` are (shard, row)."""

    shards: Shards
    locations: list[tuple[str, int]]
    arrays: dict[str, Batch]

    @classmethod
    def open(cls, shards: Shards, names: list[str]) -> "Pairs":
        """Map the named training shards."""
        arrays = {name: shards.pair("train", name) for name in names}
        return cls(shards, [(name, row) for name in names for row in range(len(arrays[name][0]))], arrays)

    def __len__(self) -> int:
        return len(self.locations)

    def __getitem__(self, number: int) -> Batch:
        name, row = self.locations[number]
        images, masks = self.arrays[name]
        return images[row], masks[row]

    @cached_property
    def class_pixels(self) -> np.ndarray:
        """Pixels of each class in each mask, void left out: int64 (pairs, K); every mask is read once."""
        void = self.shards.classes.count
        masks = (mask for _, masks in self.arrays.values() for mask in masks)  # bincount makes eight bytes of a pixel
        counts = [np.bincount(np.minimum(mask, void).ravel(), minlength=void + 1) for mask in masks]
        return np.array(counts)[:, :void]


def split_monitored(shards: Shards, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Hold whole drives out of training, for curves and for searching; of a single drive its end.

    Args:
        shards: all of them.
        share: of the labelled training drives, 0..1; at least one drive stays on either side.
        seed: chooses the drives.

    Returns:
        The pairs to train on and the pairs to watch.

    Raises:
        DataRefused: fewer than two labelled training tiles.
    """
    names = shards.drives("train")
    if len(names) < 2:
        return _end_monitored(shards, names, share)
    held = min(max(1, round(share * len(names))), len(names) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(names))[:held].tolist())
    train = [name for number, name in enumerate(names) if number not in chosen]
    return Pairs.open(shards, train), Pairs.open(shards, [names[number] for number in sorted(chosen)])


def _end_monitored(shards: Shards, names: list[str], share: float) -> tuple[Pairs, Pairs]:
    both = Pairs.open(shards, names)
    if len(both) < 2:
        raise DataRefused(f"{shards.folder}: {len(both)} labelled training tiles; two are needed, one is watched")
    (name,) = names
    at = len(both) - min(max(1, round(share * len(both))), len(both) - 1)
    images, masks = both.arrays[name]
    halves = (images[:at], masks[:at]), (images[at:], masks[at:])
    train, watched = (Pairs(shards, [(name, row) for row in range(len(half[0]))], {name: half}) for half in halves)
    return train, watched


@dataclass(frozen=True)
class TrainingBatches:
    """Shuffled, augmented batches, epoch by epoch; equal seed and epoch give equal batches.

    Attributes:
        pairs: each comes once in an epoch; what does not fill a step waits for another.
        recipe: how they are shown, and the share of class uniform sampling.
        seed: of the random generators.
        batch: pairs in a batch.
        reduction: of the masks against the images.
        accumulate: batches in a step; only whole steps are made.
        part: of each batch, which is made; the others' views are drawn all the same.
    """

    pairs: Pairs
    recipe: ViewRecipe
    seed: int
    batch: int
    reduction: int
    accumulate: int = 1
    part: slice = field(default_factory=lambda: slice(None))

    @property
    def steps(self) -> int:
        """Whole steps in an epoch, at least one."""
        return max(1, len(self.pairs) // (self.batch * self.accumulate))

    def of_epoch(self, epoch: int, size: tuple[int, int], skip: int = 0) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            epoch: from 1.
            size: height and width of the images.
            skip: batches at the start that are not made; the others stay the same.

        Yields:
            uint8 (n, h, w, 3) and uint8 (n, h / reduction, w / reduction), n pairs in `part`, else `batch`.
        """
        rng, of_changes = np.random.default_rng([self.seed, epoch]), np.random.default_rng([self.seed, epoch, 2])
        sampled, mask_size = self._sampled(rng, epoch), _reduced(size, self.reduction)
        for number in range(self.steps * self.accumulate):
            views = [random_view(self.recipe, rng, of_changes) for _ in range(self.batch)]
            if number >= skip:
                own = zip(self._of_batch(sampled, number)[self.part], views[self.part], strict=True)
                yield _stack([_shown(self.pairs, place, view, size, mask_size) for place, view in own])

    def samples(self, epoch: int, number: int) -> list[str]:
        """Names of the samples in a batch of `of_epoch`, the first number being 0."""
        sampled = self._sampled(np.random.default_rng([self.seed, epoch]), epoch)
        places = [self.pairs.locations[place.pair] for place in self._of_batch(sampled, number)]
        index = self.pairs.shards.index
        train = index.assign(shard=self.pairs.shards.shard_names)[index["split"] == "train"]
        names = dict(zip(zip(train["shard"], train["row"], strict=True), train["sample"], strict=True))
        return [names[place] for place in places]

    def _sampled(self, rng: np.random.Generator, epoch: int) -> list[SampledPair]:
        number = max(len(self.pairs), self.batch * self.accumulate)  # fewer pairs than a step come again
        order = np.resize(rng.permutation(len(self.pairs)), number)
        of_classes = np.random.default_rng([self.seed, epoch, 1])
        return class_uniform_sampling(order, self.pairs.class_pixels, self.recipe.uniform, of_classes)

    def _of_batch(self, sampled: list[SampledPair], number: int) -> list[SampledPair]:
        return sampled[number * self.batch : (number + 1) * self.batch]


def _shown(pairs: Pairs, place: SampledPair, view: View, size: tuple[int, int], mask_size: tuple[int, int]) -> Batch:
    image, mask = pairs[place.pair]
    if place.shown is not None:
        view = centred(view, mask, place.shown, place.pixel)
    return apply(view, image, mask, size, mask_size)


def whole_batches(pairs: Pairs, batch: int, reduction: int) -> Iterator[Batch]:
    """Every pair as it is, in order; the last batch may be smaller."""
    size = (pairs.shards.height, pairs.shards.width)
    for start in range(0, len(pairs), batch):
        numbers = range(start, min(start + batch, len(pairs)))
        yield _stack([apply(WHOLE, *pairs[number], size, _reduced(size, reduction)) for number in numbers])


def ahead(batches: Iterator[Batch], depth: int = 4) -> Iterator[Batch]:
    """Make batches in a thread of its own, up to `depth` ahead; its errors are raised here."""
    waiting: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)

    def fill() -> None:
        try:
            for batch in batches:
                waiting.put(batch)
            waiting.put(None)
        except BaseException as error:  # the reader raises it
            waiting.put(error)

    threading.Thread(target=fill, daemon=True).start()
    while (item := waiting.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def _reduced(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    return size[0] // reduction, size[1] // reduction


def _stack(views: list[Batch]) -> Batch:
    images, masks = zip(*views, strict=True)
    return np.stack(images), np.stack(masks)

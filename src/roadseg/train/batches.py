"""From shards to batches: which drives are watched, in which order pairs come, and one batch ahead."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.shards import Shards
from roadseg.train.augment import WHOLE, apply, random_view

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


def split_monitored(shards: Shards, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Hold whole drives out of training, for curves and for searching.

    Args:
        shards: all of them.
        share: of the labelled training drives, 0..1; at least one drive stays on either side.
        seed: chooses the drives.

    Returns:
        The pairs to train on and the pairs to watch.

    Raises:
        DataRefused: fewer than two labelled training drives.
    """
    names = shards.drives("train")
    if len(names) < 2:
        raise DataRefused(f"{shards.folder}: {len(names)} labelled training drives; two are needed, one is watched")
    held = min(max(1, round(share * len(names))), len(names) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(names))[:held].tolist())
    train = [name for number, name in enumerate(names) if number not in chosen]
    return Pairs.open(shards, train), Pairs.open(shards, [names[number] for number in sorted(chosen)])


def class_pixels(pairs: Pairs) -> np.ndarray:
    """Pixels of each class in the masks, void left out: int64 (K,)."""
    counts = np.zeros(256, np.int64)
    for _, masks in pairs.arrays.values():
        for mask in masks:  # one by one: bincount makes eight bytes of each
            counts += np.bincount(mask.ravel(), minlength=256)
    return counts[: pairs.shards.classes.count]


def epoch_batches(
    pairs: Pairs,
    *,
    epoch: int,
    skip: int = 0,
    seed: int,
    batch: int,
    accumulate: int = 1,
    part: slice = slice(None),
    size: tuple[int, int],
    reduction: int,
    crop_min: float,
    aspect: float,
    colour: float,
) -> Iterator[Batch]:
    """One epoch of shuffled, augmented batches; equal seed and epoch give equal batches.

    Args:
        pairs: to draw from, each once; what does not fill a batch waits for another epoch.
        epoch, seed: of the random generator.
        skip: batches at the start that are not made; the others stay the same.
        batch: pairs in a batch.
        accumulate: batches in a step; only whole steps are made.
        part: of each batch, which is made; the others' views are drawn all the same.
        size: height and width of the images.
        reduction: of the masks against the images.
        crop_min, aspect, colour: see `augment.random_view`.

    Yields:
        uint8 (n, h, w, 3) and uint8 (n, h / reduction, w / reduction), n pairs in `part`, else `batch`.
    """
    step = batch * accumulate
    rng, order = _order(pairs, epoch, seed, step)
    mask_size = (size[0] // reduction, size[1] // reduction)
    for number in range(steps_per_epoch(len(pairs), step) * accumulate):
        views = [random_view(rng, crop_min, aspect, colour) for _ in range(batch)]
        if number >= skip:
            chosen = order[number * batch : (number + 1) * batch]
            own = zip(views[part], chosen[part], strict=True)
            yield _stack([apply(view, *pairs[one], size, mask_size) for view, one in own])


def batch_samples(pairs: Pairs, *, epoch: int, number: int, seed: int, batch: int, accumulate: int = 1) -> list[str]:
    """Names of the samples in a batch of `epoch_batches`, the first number being 0."""
    _, order = _order(pairs, epoch, seed, batch * accumulate)
    places = [pairs.locations[place] for place in order[number * batch : (number + 1) * batch]]
    index = pairs.shards.index
    train = index.assign(shard=pairs.shards.shard_names)[index["split"] == "train"]
    names = dict(zip(zip(train["shard"], train["row"], strict=True), train["sample"], strict=True))
    return [names[place] for place in places]


def _order(pairs: Pairs, epoch: int, seed: int, step: int) -> tuple[np.random.Generator, np.ndarray]:
    rng = np.random.default_rng([seed, epoch])
    return rng, np.resize(rng.permutation(len(pairs)), max(len(pairs), step))  # fewer pairs than a step come again


def whole_batches(pairs: Pairs, batch: int, reduction: int) -> Iterator[Batch]:
    """Every pair as it is, in order; the last batch may be smaller."""
    size = (pairs.shards.height, pairs.shards.width)
    mask_size = (size[0] // reduction, size[1] // reduction)
    for start in range(0, len(pairs), batch):
        numbers = range(start, min(start + batch, len(pairs)))
        yield _stack([apply(WHOLE, *pairs[number], size, mask_size) for number in numbers])


def steps_per_epoch(pairs: int, step: int) -> int:
    """Whole steps of `step` pairs in an epoch, at least one."""
    return max(1, pairs // step)


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


def _stack(views: list[Batch]) -> Batch:
    images, masks = zip(*views, strict=True)
    return np.stack(images), np.stack(masks)

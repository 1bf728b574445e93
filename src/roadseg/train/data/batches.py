"""From shards to batches: which drives are watched, in which order pairs come, and one batch ahead."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.shards import Shards
from roadseg.train.data.randaugment import random_changes
from roadseg.train.data.sampling import Draw, class_uniform
from roadseg.train.data.view import WHOLE, View, apply, centred, random_view

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
    uniform: float = 0.0,
    randaugment: float = 0.0,
) -> Iterator[Batch]:
    """One epoch of shuffled, augmented batches; equal seed and epoch give equal batches.

    Args:
        pairs: to draw from, each once; what does not fill a batch waits for another epoch.
        epoch, seed: of the random generators.
        skip: batches at the start that are not made; the others stay the same.
        batch: pairs in a batch.
        accumulate: batches in a step; only whole steps are made.
        part: of each batch, which is made; the others' views are drawn all the same.
        size: height and width of the images.
        reduction: of the masks against the images.
        crop_min, aspect, colour: see `view.random_view`.
        uniform: share of the draws that go to the classes in turn: see `draws.class_uniform`.
        randaugment: magnitude: see `randaugment.random_changes`.

    Yields:
        uint8 (n, h, w, 3) and uint8 (n, h / reduction, w / reduction), n pairs in `part`, else `batch`.
    """
    step = batch * accumulate
    rng, draws = _draws(pairs, epoch, seed, step, uniform)
    of_changes = np.random.default_rng([seed, epoch, 2])  # of its own: other views stay the same
    mask_size = (size[0] // reduction, size[1] // reduction)
    for number in range(steps_per_epoch(len(pairs), step) * accumulate):
        views = [
            replace(random_view(rng, crop_min, aspect, colour), changes=random_changes(of_changes, randaugment))
            for _ in range(batch)
        ]
        if number >= skip:
            own = zip(draws[number * batch : (number + 1) * batch][part], views[part], strict=True)
            yield _stack([_shown(pairs, draw, view, size, mask_size) for draw, view in own])


def _shown(pairs: Pairs, draw: Draw, view: View, size: tuple[int, int], mask_size: tuple[int, int]) -> Batch:
    image, mask = pairs[draw.pair]
    if draw.target is not None:
        view = centred(view, mask, draw.target, draw.which)
    return apply(view, image, mask, size, mask_size)


def batch_samples(
    pairs: Pairs, *, epoch: int, number: int, seed: int, batch: int, accumulate: int = 1, uniform: float = 0.0
) -> list[str]:
    """Names of the samples in a batch of `epoch_batches`, the first number being 0."""
    _, draws = _draws(pairs, epoch, seed, batch * accumulate, uniform)
    places = [pairs.locations[draw.pair] for draw in draws[number * batch : (number + 1) * batch]]
    index = pairs.shards.index
    train = index.assign(shard=pairs.shards.shard_names)[index["split"] == "train"]
    names = dict(zip(zip(train["shard"], train["row"], strict=True), train["sample"], strict=True))
    return [names[place] for place in places]


def _draws(pairs: Pairs, epoch: int, seed: int, step: int, uniform: float) -> tuple[np.random.Generator, list[Draw]]:
    rng = np.random.default_rng([seed, epoch])
    order = np.resize(rng.permutation(len(pairs)), max(len(pairs), step))  # fewer pairs than a step come again
    return rng, class_uniform(order, pairs.class_pixels, uniform, np.random.default_rng([seed, epoch, 1]))


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

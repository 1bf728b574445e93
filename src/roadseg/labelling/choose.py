"""Which of measured pictures are worth a person's time; pure numbers, no files."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

By = Literal["mixed", "uncertainty", "random"]
SCENE_BITS = 12  # of 64: frames that follow one another and differ by no more show one scene
SCENE_SECONDS = 2.0
FLAT = 0.02  # contrast under which a perceptual hash is noise, as in validate; 0..1
CHUNK = 4096  # pictures that are compared at once
LEAST = 1e-4  # share of a class that labelled data lack


@dataclass(frozen=True)
class Known:
    """What is labelled already, or must not be labelled.

    Attributes:
        embeddings: float32 (M, D) of labelled and picked pictures, of length one.
        shas: sha256 of pictures that are among the data or in another batch.
        hashes: uint64 (L,), perceptual hashes of pictures with enough contrast.
        shares: float64 (K,), of the labelled pixels by class.
        waiting: those of `shas` that were picked and are not among the data yet; their scenes are theirs.
    """

    embeddings: np.ndarray
    shas: frozenset[bytes]
    hashes: np.ndarray
    shares: np.ndarray
    waiting: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Choice:
    """One picture that was picked.

    Attributes:
        place: in the list of pictures.
        value: by which it won, 0..1.
        uncertain: share of the picture in unsure areas, 0..1.
        rare: how unusual its classes are, nats, see `surprise`.
        distance: to the nearest labelled or picked picture when it was picked, 0 (equal) to 2.
        scene: number of its scene.
    """

    place: int
    value: float
    uncertain: float
    rare: float
    distance: float
    scene: int


def surprise(shares: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """How unusual a picture's classes are against the labelled ones: cross-entropy, nats, (N, K) and (K,) to (N,)."""
    return np.asarray(shares.astype(np.float64) @ -np.log(np.maximum(labelled, LEAST)))


def scenes(drives: list[str], times: list[float | None], hashes: np.ndarray) -> np.ndarray:
    """Number the scenes, int (N,): neighbours in time that look alike, or were kept within `SCENE_SECONDS`.

    Args:
        drives: of pictures, drive by drive in the order of time.
        times: seconds, where known.
        hashes: uint64 (N,), perceptual.
    """
    numbers = np.zeros(len(drives), np.int64)
    for place in range(1, len(drives)):
        one, before = times[place], times[place - 1]
        near = one is not None and before is not None and one - before <= SCENE_SECONDS
        alike = int(hashes[place] ^ hashes[place - 1]).bit_count() <= SCENE_BITS
        numbers[place] = numbers[place - 1] + (drives[place] != drives[place - 1] or not (near or alike))
    return numbers


def may_be_picked(pictures: np.ndarray, known: Known, bits: int) -> np.ndarray:
    """Bool (N,): it can be read, is neither among the data nor a near copy of what is, and no copy of one before it.

    Args:
        pictures: of `measure.kind_of`, (N,).
        known: what is there.
        bits: by which two perceptual hashes may differ and still mean one picture.
    """
    seen, free = set(known.shas), np.zeros(len(pictures), bool)
    for place, row in enumerate(pictures):
        sha = row["sha"].tobytes()
        free[place] = row["sha"].any() and sha not in seen
        seen.add(sha)
    for start in range(0, len(pictures), CHUNK):
        some = pictures[start : start + CHUNK]
        told = some["contrast"] >= FLAT
        for first in range(0, len(known.hashes), CHUNK):
            apart = np.bitwise_count(some["phash"][:, None] ^ known.hashes[None, first : first + CHUNK])
            free[start : start + CHUNK] &= ~(told & (apart <= bits).any(1))
    return free


def choose_pictures(
    pictures: np.ndarray, scene: np.ndarray, known: Known, count: int, *, by: By, bits: int, seed: int = 0
) -> list[Choice]:
    """Pick one after another, the best first.

    `mixed` takes the picture with the largest product of its value (mean rank by uncertainty and by rare classes) and
    of its distance to the nearest labelled or picked one, one of a scene: greedy k-center, weighted. `uncertainty` and
    `random` are what it is compared with; they leave out copies alone.

    Args:
        pictures: of `measure.kind_of`, (N,).
        scene: see `scenes`.
        known: what is labelled.
        count: how many at most.
        by: the way.
        bits: see `may_be_picked`.
        seed: of `random`.

    Source: Sener and Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018.
    """
    free = may_be_picked(pictures, known, bits)
    if by == "mixed":
        free &= ~np.isin(scene, scene[[row.tobytes() in known.waiting for row in pictures["sha"]]])
    rare = surprise(pictures["shares"], known.shares)
    vectors, labelled = less_the_mean(pictures["embedding"].astype(np.float32), known.embeddings)
    distance = nearest_distance(vectors, labelled)
    value = _value(pictures, rare, free, by, seed)
    found: list[Choice] = []
    while len(found) < count and free.any():
        score = np.where(free, value * distance if by == "mixed" else value, -1.0)
        best = int(score.argmax())
        row = pictures[best]
        told = (float(value[best]), float(row["uncertain"]), float(rare[best]), float(distance[best]))
        found.append(Choice(best, *told, int(scene[best])))
        free[best] = False
        if by == "mixed":
            free &= scene != scene[best]
        if row["contrast"] >= FLAT:
            free &= (np.bitwise_count(pictures["phash"] ^ row["phash"]) > bits) | (pictures["contrast"] < FLAT)
        distance = np.minimum(distance, 1 - vectors @ vectors[best])
    return found


def less_the_mean(vectors: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, D) and (M, D) less the mean of the known ones, of length one again.

    What a network's rectifiers leave points one way in all pictures, which would make all of them alike.
    """
    mean = known.mean(0) if len(known) > 1 else vectors.mean(0)
    moved = [each - mean for each in (vectors, known)]
    one, other = (each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-6) for each in moved)
    return one, other


def nearest_distance(vectors: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Cosine distance of each vector (N, D) to the nearest of (M, D), float32 (N,); 1 where there is none."""
    found = np.ones(len(vectors), np.float32)
    if len(known):
        for start in range(0, len(vectors), CHUNK):
            found[start : start + CHUNK] = 1 - (vectors[start : start + CHUNK] @ known.T).max(1)
    return np.maximum(found, 0.0)


def _value(pictures: np.ndarray, rare: np.ndarray, free: np.ndarray, by: By, seed: int) -> np.ndarray:
    """0..1, (N,)."""
    if by == "random":
        return np.random.Generator(np.random.PCG64(seed)).random(len(pictures))
    uncertain = _rank(pictures["uncertain"] + 1e-3 * pictures["doubt"], free)  # doubt alone where no area is unsure
    return uncertain if by == "uncertainty" else (uncertain + _rank(rare, free)) / 2


def _rank(figure: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The share of the free pictures that have no more, above 0 for each of them: a product with it is never lost."""
    ordered = np.sort(figure[free])
    return np.searchsorted(ordered, figure, "right") / max(1, len(ordered))

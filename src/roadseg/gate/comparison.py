"""Two evaluations that may be compared, and what forbids it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from roadseg.contracts.evaluation import Evaluation
from roadseg.gate.difference import Pair, overlaps
from roadseg.gate.evidence import Evidence


@dataclass(frozen=True)
class Comparison:
    """The answers of champion and candidate on the same images in the same order; the candidate's table judges."""

    champion: Evaluation
    candidate: Evaluation

    @cached_property
    def drives(self) -> np.ndarray:
        """The drive of each image, str (N,)."""
        return np.array(self.candidate.drives)

    @cached_property
    def overlaps(self) -> Pair:
        """Of each image, (N, K, 2), see `overlaps`."""
        return Pair(*(overlaps(each.counts.confusion) for each in (self.champion, self.candidate)))

    def pair(self, chosen: np.ndarray | slice = slice(None)) -> Pair:
        """Overlaps by drive of the chosen images, (D, K, 2)."""
        return self._by_drive(self.overlaps.champion, self.overlaps.candidate, chosen)

    def confusions(self) -> Pair:
        """Confusion counts by drive, (D, K, K + 1)."""
        return self._by_drive(self.champion.counts.confusion, self.candidate.counts.confusion)

    def _by_drive(self, champion: np.ndarray, candidate: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> Pair:
        names, member = np.unique(self.drives[chosen], return_inverse=True)
        found = []
        for counted in (champion, candidate):
            found.append(np.zeros((len(names), *counted.shape[1:])))
            np.add.at(found[-1], member, counted[chosen])
        return Pair(*found)


def incomparable(candidate: Evidence, champion: Evidence) -> Iterator[str]:
    """Why two evaluations of one class table must not be compared, in sentences; none where they may."""
    ours, theirs = candidate.evaluation, champion.evaluation
    assert ours
    assert theirs
    named = f"champion {champion.version}"
    for key in sorted(candidate.settings.keys() | champion.settings.keys()):
        if (one := candidate.settings.get(key)) != (other := champion.settings.get(key)):
            yield f"evaluated otherwise: {key} {one} against {other} of {named}: score it again with {key} {one}"
    if ours.val_manifest is None or theirs.val_manifest is None:
        who = "the candidate" if ours.val_manifest is None else named
        yield f"nothing says on which val split {who} was evaluated: evaluate it again with this version of roadseg"
    elif ours.val_manifest != theirs.val_manifest:
        digests = f"val manifest {ours.val_manifest[:8]} and {theirs.val_manifest[:8]} of {named}"
        yield f"the scores are over different data ({digests}): score the champion on the candidate's val split"
    elif _truth(ours) != _truth(theirs):
        yield f"the true pixels of {named} were counted otherwise: score it again with this version of roadseg"


def without(evaluation: Evaluation, left_out: Collection[str]) -> Evaluation:
    """The images of all drives but some, by sample."""
    order = np.argsort(np.array(evaluation.images["sample"].to_pylist(), str), kind="stable")
    chosen = order[~np.isin(np.array(evaluation.drives, str)[order], list(left_out))]
    images = evaluation.images.take(pa.array(chosen, pa.int64()))
    return replace(evaluation, images=images, counts=evaluation.counts[chosen])


def _truth(evaluation: Evaluation) -> dict[str, tuple[str, bytes]]:
    """Drive and true pixels of each class, by sample."""
    pixels = evaluation.counts.confusion.sum(-1, dtype=np.int64)
    rows = zip(evaluation.images["sample"].to_pylist(), evaluation.drives, pixels, strict=True)
    return {sample: (drive, counted.tobytes()) for sample, drive, counted in rows}

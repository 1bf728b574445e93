"""What differs between two versions of a data set."""

from dataclasses import dataclass

import pandas as pd

from roadseg.contracts.manifest import Manifest


@dataclass(frozen=True)
class ShareMove:
    """Share of a class in a split, 0..1, before and now."""

    split: str
    name: str
    before: float
    now: float


@dataclass(frozen=True)
class Changes:
    """What one scan holds that another did not; names are samples.

    Attributes:
        images: samples whose image has other bytes.
        masks: samples whose mask has other bytes.
        moves: shares of classes that both versions have, the largest move first.
    """

    added: list[str]
    removed: list[str]
    images: list[str]
    masks: list[str]
    moves: list[ShareMove]


def compare(before: Manifest, now: Manifest) -> Changes:
    """Compare two scans by sample name and by the digests of image and mask."""
    old, new = _by_sample(before), _by_sample(now)
    both = new.index.intersection(old.index)
    return Changes(
        added=sorted(new.index.difference(old.index)),
        removed=sorted(old.index.difference(new.index)),
        images=_different(old, new, both, "image_sha"),
        masks=_different(old, new, both, "mask_sha"),
        moves=_moves(before, now),
    )


def _by_sample(manifest: Manifest) -> pd.DataFrame:
    """Digests by sample; of a name that occurs twice the first, as the expectation on names says enough about it."""
    frame = manifest.rows.select(["sample", "image_sha", "mask_sha"]).to_pandas().drop_duplicates("sample")
    return pd.DataFrame(frame.set_index("sample").fillna(""))


def _different(old: pd.DataFrame, new: pd.DataFrame, both: pd.Index, digest: str) -> list[str]:
    differs = (old.loc[both, digest] != new.loc[both, digest]).to_numpy()
    return sorted(both[differs])


def _moves(before: Manifest, now: Manifest) -> list[ShareMove]:
    """By split and class name: tables may differ between versions, names say what is comparable."""
    old = before.class_shares()
    moves = [
        ShareMove(split, name, old[split][name], share)
        for split, shares in now.class_shares().items()
        for name, share in shares.items()
        if name in old.get(split, {})
    ]
    return sorted(moves, key=lambda move: -abs(move.now - move.before))

"""The tables that are judged: samples, splits, classes and the class table, as they follow from a scan."""

from collections import Counter

import numpy as np
import pandas as pd

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import SPLITS, Manifest, Shares
from roadseg.contracts.shards import shard_name

FROZEN_FIRST = {"val": 0, "test": 1, "train": 2}  # of copies in two splits the one in train has to go
SAME_LOOK = 0.02  # of two copies, brightness and contrast differ by less; 0..1
FIRST_ON_THE_SIDE = 5  # of the orientations: from here on height and width change places
DEFAULT, OF_IDD = "idd-level1", ("idd-lite", "idd-20k")  # the table that an import takes unasked, who vouches for it
SHOWN = 5  # values of a mask that are named
FLAT = 0.02  # contrast under which a perceptual hash is noise; 0..1


def samples(scan: Manifest, near_duplicate: int) -> pd.DataFrame:
    """One row per sample: the scan's columns and those that follow from others.

    Args:
        scan: the rows to judge.
        near_duplicate: bits by which two perceptual hashes may differ and still mean one image.
    """
    frame = scan.frame
    frame["file"] = frame["image"].fillna(frame["mask"])
    frame["mask_or_test"] = frame["mask"].where(frame["split"] != "test", "")
    frame["lossy_mask"] = frame["mask"].where(frame["mask"].str.lower().str.endswith((".jpg", ".jpeg")))
    frame["size_difference"] = (frame["height"] - frame["mask_height"]).abs() + (
        frame["width"] - frame["mask_width"]
    ).abs()
    frame["turning"] = _turning(frame)
    frame["invalid_count"] = frame["invalid_ids"].map(len, na_action="ignore")
    frame["outside"] = _outside(frame["invalid_ids"], scan.classes)
    frame["void_share"] = frame["class_pixels"].map(lambda counts: counts[-1] / sum(counts), na_action="ignore")
    area, aspect = frame["height"] * frame["width"], frame["width"] / frame["height"]
    frame["relative_size"], frame["relative_aspect"] = area / area.median(), aspect / aspect.median()
    frame["drive_elsewhere"] = _elsewhere(frame, "drive")
    frame["image_elsewhere"] = _elsewhere(frame, "image_sha")
    hashes = scan.rows["phash"].fill_null(0).to_numpy()  # pandas would make floats of them where one is null
    frame["near_elsewhere"] = _near_elsewhere(frame, hashes, near_duplicate)
    return frame


def splits(scan: Manifest, reference: Shares) -> pd.DataFrame:
    """One row per split.

    Returns:
        `name`; `needed`: samples of train and val, else null; `labelled` and `drives`: training samples with a mask
        and how many drives preprocess makes of them, null in other splits and where there is none, of which other
        rules speak; `shift` of class shares: total variation distance, 0..1, null where the reference lacks the
        split or has other classes.
    """
    counts, shares = scan.frame["split"].value_counts(), scan.class_shares()
    rows = []
    for split in SPLITS:
        before, now = reference.get(split, {}), shares.get(split, {})
        shift = (
            sum(abs(now[name] - before[name]) for name in now) / 2 if now and before.keys() == now.keys() else np.nan
        )
        needed = int(counts.get(split, 0)) if split != "test" else None
        labelled = _labelled_drives(scan.frame) if split == "train" else []
        known = {"labelled": len(labelled) or np.nan, "drives": len(set(labelled)) or np.nan}
        rows.append({"name": split, "needed": needed, **known, "shift": shift})
    return pd.DataFrame(rows)


def _labelled_drives(frame: pd.DataFrame) -> list[str]:
    """The shard of every labelled training sample."""
    labelled = frame[(frame["split"] == "train") & frame["mask"].notna() & frame["image_sha"].notna()]
    pairs = zip(labelled["drive"], labelled["image_sha"], strict=True)
    return [shard_name(drive if isinstance(drive, str) else None, sha) for drive, sha in pairs]


def classes(scan: Manifest) -> pd.DataFrame:
    """One row per class: `name` and `pixels` in train; null where train has no masks, of which other rules speak."""
    return pd.DataFrame({"name": scan.classes.names, "pixels": _train_pixels(scan)})


def table(scan: Manifest) -> pd.DataFrame:
    """One row on the class table; nulls as in `classes`.

    Returns:
        `name`; `absent`: share of its classes that train lacks; `present`: how many train has, where the table has
        one or two; `unheld`: classes of the default table that no mask of any split holds, where no layout of IDD's
        says that masks are in its ids.
    """
    pixels = _train_pixels(scan)
    judged = not np.isnan(pixels).any()
    held = sum(scan.class_pixels().values(), np.zeros(scan.classes.count + 1))[:-1]
    unheld = [name for name, count in zip(scan.classes.names, held, strict=True) if not count]
    doubtful = judged and scan.classes.name == DEFAULT and scan.layout not in OF_IDD
    row = {
        "name": scan.classes.name,
        "absent": float((pixels == 0).mean()) if judged else np.nan,
        "present": float((pixels > 0).sum()) if judged and scan.classes.count <= 2 else np.nan,
        "unheld": ", ".join(unheld) if doubtful and unheld else None,
    }
    return pd.DataFrame([row])


def orientations(scan: Manifest) -> pd.DataFrame:
    """One row: `turned`, how many labelled images are turned so that their size does not tell, and the `first` of them.

    Those turned by 90 degrees tell it, unless they are square: a mask that lies otherwise has another size.
    """
    frame = scan.frame
    untold = (frame["orientation"] < FIRST_ON_THE_SIDE) | (frame["height"] == frame["width"])
    found = frame[frame["orientation"].notna() & untold & frame["mask"].notna()]
    return pd.DataFrame({"turned": [len(found)], "first": [found["image"].min() if len(found) else ""]})


def _train_pixels(scan: Manifest) -> np.ndarray:
    """float64 (K,); null where train has no pixel of any class."""
    pixels = scan.class_pixels().get("train", np.zeros(1))[:-1]
    return pixels.astype(np.float64) if pixels.any() else np.full(scan.classes.count, np.nan)


def _turning(frame: pd.DataFrame) -> pd.Series:
    """What an image's orientation has to do with a size that differs, in words; else empty."""
    swapped = (frame["height"] == frame["mask_width"]) & (frame["width"] == frame["mask_height"])
    words = (
        "; its EXIF orientation turns the image by 90 degrees, and the mask was drawn on it as it lies: turn the mask"
    )
    return (frame["orientation"].ge(FIRST_ON_THE_SIDE) & swapped).map({True: words, False: ""})


def _outside(invalid: pd.Series, table: ClassTable) -> pd.Series:
    """What is outside the table in words: `ids outside idd-level1: 9, 14 (masks that hold them: 9 in 120, 14 in 3)`."""
    kind = "colours" if table.source == "color" else "ids"
    masks = Counter(value for values in invalid.dropna() for value in values)

    def said(values: np.ndarray) -> str:
        shown = [(table.written(value), masks[value]) for value in values[:SHOWN]]
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        names, counts = ", ".join(name for name, _ in shown), ", ".join(f"{name} in {count}" for name, count in shown)
        return f"{kind} outside {table.name}: {names}{more} (masks that hold them: {counts})"

    return invalid.map(said, na_action="ignore")


def _elsewhere(frame: pd.DataFrame, column: str) -> pd.Series:
    """For a row whose value is also in a split that has to stay as it is: a sample there; else null."""
    known = frame[frame[column].notna()]
    rank = known["split"].map(FROZEN_FIRST)
    kept = known.assign(rank=rank).sort_values(["rank", "sample"], kind="stable").groupby(column).first()
    partner, partner_rank = known[column].map(kept["sample"]), known[column].map(kept["rank"])
    return partner.where(rank > partner_rank).reindex(frame.index)


def _near_elsewhere(frame: pd.DataFrame, hashes: np.ndarray, distance: int) -> pd.Series:
    """Like `_elsewhere`, by perceptual hash, brightness and contrast; byte-identical images are left to it."""
    names, digests = frame["sample"].to_numpy(), frame["image_sha"].to_numpy()
    rank, look = frame["split"].map(FROZEN_FIRST).to_numpy(), frame[["brightness", "contrast"]].to_numpy()
    usable = frame["phash"].notna().to_numpy() & (look[:, 1] > FLAT)
    found = np.full(len(frame), None, object)
    for loser in (2, 1):
        kept = np.flatnonzero(usable & (rank < loser))
        for row in np.flatnonzero(usable & (rank == loser)) if len(kept) else ():
            near = kept[np.bitwise_count(hashes[kept] ^ hashes[row]) <= distance]
            near = near[(np.abs(look[near] - look[row]) < SAME_LOOK).all(axis=1) & (digests[near] != digests[row])]
            if len(near):
                found[row] = names[near[0]]
    return pd.Series(found, frame.index, dtype=object)

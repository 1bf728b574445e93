"""What is expected of every sample: the facts that are judged, and the reason in words when one fails."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Row = dict[Hashable, Any]


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes:
        severity: critical refuses the data, warning tells.
        kind: null, present, unique, or between (then `low` and `high` are the bounds, inclusive).
        column: of `judged`; nulls pass except for `present`.
        reason: what is wrong with a failing row, and what to do, naming the file.
    """

    severity: Literal["critical", "warning"]
    kind: Literal["null", "present", "unique", "between"]
    column: str
    reason: Callable[[Row], str]
    low: float = 0
    high: float = 0


def judged(scan: pd.DataFrame) -> pd.DataFrame:
    """Add to a scan the columns that rules judge and that follow from others."""
    frame = scan.copy()
    frame["mask_or_test"] = frame["mask"].where(frame["split"] != "test", "")
    frame["size_difference"] = (frame["height"] - frame["mask_height"]).abs() + (
        frame["width"] - frame["mask_width"]
    ).abs()
    frame["invalid_count"] = frame["invalid_ids"].map(len, na_action="ignore")
    frame["splits_of_drive"] = frame.groupby("drive")["split"].transform("nunique")
    frame["splits_of_image"] = frame.groupby("image_sha")["split"].transform("nunique")
    frame["void_share"] = frame["class_pixels"].map(lambda counts: counts[-1] / sum(counts), na_action="ignore")
    return frame


def rules(brightness_min: float, brightness_max: float, void_max: float, table: str) -> dict[str, Rule]:
    """Every rule by name, the worst first.

    Args:
        brightness_min, brightness_max: mean grey level that is still a picture, 0..1.
        void_max: share of void pixels that a mask may have, 0..1.
        table: name of the class table, for the reasons.
    """
    return {
        "files_decode": Rule("critical", "null", "error", lambda row: str(row["error"])),
        "image_present": Rule(
            "critical",
            "present",
            "image",
            lambda row: f"{row['mask']}: no image belongs to this mask; add or remove it",
        ),
        "mask_present": Rule(
            "critical", "present", "mask_or_test", lambda row: f"{row['image']}: its mask is missing; add it"
        ),
        "mask_size": Rule("critical", "between", "size_difference", _size_reason),
        "ids_in_table": Rule(
            "critical",
            "between",
            "invalid_count",
            lambda row: (
                f"{row['mask']}: ids {', '.join(map(str, row['invalid_ids']))} are outside {table}; "
                "import with another --classes or repair the mask"
            ),
        ),
        "sample_unique": Rule(
            "critical", "unique", "sample", lambda row: f"{row['image']}: a second file is the same sample; rename one"
        ),
        "drive_in_one_split": Rule(
            "critical",
            "between",
            "splits_of_drive",
            lambda row: f"{row['image']}: drive {row['drive']} is in two splits, so scores would leak; move one",
            *(1, 1),
        ),
        "image_in_one_split": Rule(
            "critical",
            "between",
            "splits_of_image",
            lambda row: f"{row['image']}: the same image is in two splits, so scores would leak; remove one",
            *(1, 1),
        ),
        "brightness": Rule(
            "warning",
            "between",
            "brightness",
            lambda row: f"{row['image']}: mean brightness {row['brightness']:.2f} is outside the bounds; look at it",
            *(brightness_min, brightness_max),
        ),
        "void_share": Rule(
            "warning",
            "between",
            "void_share",
            lambda row: f"{row['mask']}: {row['void_share']:.0%} of the pixels are void; look at it",
            *(0, void_max),
        ),
    }


def _size_reason(row: Row) -> str:
    mask, image = (f"{row[w]:.0f}x{row[h]:.0f}" for w, h in (("mask_width", "mask_height"), ("width", "height")))
    return f"{row['mask']}: is {mask} and its image {image}; both must be of one size"

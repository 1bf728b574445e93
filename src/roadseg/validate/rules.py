"""What is expected: of every sample, split and class, each with the reason in words when it fails."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from roadseg.validate.limits import ValidateParams

Kind = Literal["null", "present", "unique", "between"]


@dataclass(frozen=True)
class Rule:
    """One expectation on one column.

    Attributes:
        severity: critical refuses the data, warning tells.
        kind: null, present, unique, or between (then `low` and `high` are the bounds, inclusive).
        column: what is judged in the frame; nulls pass except for `present`.
        reason: what is wrong with a failing row, and what to do, naming the file; columns stand in braces.
    """

    severity: Literal["critical", "warning"]
    kind: Kind
    column: str
    reason: str
    low: float | None = 0
    high: float | None = 0

    def said_of(self, row: Mapping[Hashable, Any]) -> str:
        """The reason for one row."""
        return self.reason.format_map(row)


Rules = dict[str, Rule]


def of_samples(limits: ValidateParams) -> Rules:
    """The rules for `frames.samples`, the worst first."""
    return _of_files(limits) | _of_places() | _of_looks(limits)


def _of_files(limits: ValidateParams) -> Rules:
    """Whether an image and its mask are there, whole, and fit together."""
    return {
        "files_decode": _critical("null", "error", "{error}"),
        "image_present": _critical("present", "image", "{mask}: no image belongs to this mask; add or remove it"),
        "mask_present": _critical("present", "mask_or_test", "{image}: its mask is missing; add it"),
        "mask_lossless": _critical(
            "null", "lossy_mask", "{mask}: a JPEG changes class ids at every edge; export the masks anew as PNG"
        ),
        "mask_size": _critical(
            "between",
            "size_difference",
            "{mask}: is {mask_width:.0f}x{mask_height:.0f} and its image {width:.0f}x{height:.0f}; "
            "both must be of one size{turning}",
        ),
        "ids_in_table": _critical(
            "between",
            "invalid_count",
            "{mask}: holds {outside}; import with another --classes or repair the mask",
        ),
        "mask_not_interpolated": _critical(
            "between",
            "interpolation",
            "{mask}: {interpolation:.0%} of its edges pass through ids between their two sides, so it was resized with "
            "an interpolating filter and holds wrong classes; export the masks anew, nearest neighbour only",
            *(0, limits.interpolation_max),
        ),
    }


def _of_places() -> Rules:
    """Whether a sample, its drive or its picture is in two places."""
    return {
        "sample_unique": _critical("unique", "sample", "{file}: a second file is the same sample; rename one"),
        "drive_in_one_split": _critical(
            "null",
            "drive_elsewhere",
            "{image}: drive {drive} is also in another split ({drive_elsewhere}), so scores would leak; move one",
        ),
        "image_in_one_split": _critical(
            "null",
            "image_elsewhere",
            "{image}: the same image is also in another split ({image_elsewhere}), so scores would leak; remove it",
        ),
        "near_duplicate": _critical(
            "null",
            "near_elsewhere",
            "{image}: nearly the same image is in another split ({near_elsewhere}), so scores would leak; remove it",
        ),
    }


def _of_looks(limits: ValidateParams) -> Rules:
    """What is allowed, and worth a look."""
    return {
        "dark": _warning(
            "brightness", "{image}: is dark (mean brightness {brightness:.2f}); look at it", limits.brightness_min
        ),
        "overexposed": _warning(
            "brightness",
            "{image}: is overexposed (mean brightness {brightness:.2f}); look at it",
            None,
            limits.brightness_max,
        ),
        "blurred": _warning(
            "sharpness", "{image}: is blurred (sharpness {sharpness:.0f}); look at it", limits.sharpness_min
        ),
        "size_usual": _warning(
            "relative_size",
            "{image}: {width:.0f}x{height:.0f} is {relative_size:.2g} times the usual number of pixels; look at it",
            *(1 / limits.size_factor, limits.size_factor),
        ),
        "aspect_usual": _warning(
            "relative_aspect",
            "{image}: {width:.0f}x{height:.0f} is {relative_aspect:.2g} times as wide for its height as usual; "
            "look at it",
            *(1 / limits.aspect_factor, limits.aspect_factor),
        ),
        "void_share": _warning(
            "void_share", "{mask}: {void_share:.0%} of the pixels are void; look at it", 0, limits.void_max
        ),
    }


def of_splits(limits: ValidateParams) -> Rules:
    """The rules for `frames.splits`."""
    return {
        "splits_there": _critical(
            "between",
            "needed",
            "split {name} holds no sample; add some, or set scan.split to drive in params.yaml to have a split made of "
            "two drives or more",
            *(1, None),
        ),
        "enough_to_train": _critical(
            "between",
            "labelled",
            "split {name} has one sample with a mask, and training needs two, since it watches one; add some",
            *(2, None),
        ),
        "drives_to_train": _warning(
            "drives",
            "split {name} has one labelled drive, so training watches the end of it, which looks better than a new "
            "drive would; add drives",
            2,
        ),
        "class_shares": _warning(
            "shift",
            "split {name}: class shares moved by {shift:.0%} since the last accepted data; look at it",
            0,
            limits.shift_max,
        ),
    }


def of_classes() -> Rules:
    """The rules for `frames.classes`."""
    text = "class {name} never occurs in train, so it cannot be learned; add samples or drop it from the table"
    return {"class_in_train": _warning("pixels", text, 1)}


def of_table(limits: ValidateParams) -> Rules:
    """The rules for `frames.table`."""
    text = "{absent:.0%} of the classes of {name} never occur in train; is it the right table? Import with --classes"
    return {
        "table_fits": _critical("between", "absent", text, 0, limits.absent_max),
        "table_given": _critical(
            "null",
            "unheld",
            "no mask holds {unheld} of {name}, the table that is taken unasked; import with --classes and the table "
            "that says what the masks hold (a copy under another name where it is this one)",
        ),
        "classes_to_tell": _critical(
            "between",
            "present",
            "masks of train hold {present:.0f} class of {name}, so every model would score 1.0; list what is not of it "
            "as a class too, instead of as void",
            *(2, None),
        ),
    }


def of_orientations() -> Rules:
    """The rules for `frames.orientations`."""
    text = (
        "{turned} images are turned or mirrored by their EXIF orientation, as viewers show them (first {first}), and "
        "nothing tells whether their masks were drawn so too; look at one"
    )
    return {"upright": _warning("turned", text, 0, 0)}


def _critical(kind: Kind, column: str, reason: str, low: float | None = 0, high: float | None = 0) -> Rule:
    return Rule("critical", kind, column, reason, low, high)


def _warning(column: str, reason: str, low: float | None = None, high: float | None = None) -> Rule:
    return Rule("warning", "between", column, reason, low, high)

from typing import Any

import numpy as np
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import Manifest, Shares, from_rows
from roadseg.validate.limits import ValidateParams
from roadseg.validate.rules import of_classes, of_samples, of_splits, of_table
from roadseg.validate.stage import judged

LIMITS = ValidateParams(
    brightness_min=0.1,
    brightness_max=0.9,
    sharpness_min=20.0,
    void_max=0.3,
    size_factor=2.0,
    aspect_factor=1.5,
    near_duplicate=4,
    interpolation_max=0.12,
    absent_max=0.5,
    shift_max=0.1,
)
TABLE = ClassTable.find("idd-level1")
PLACE = "train/1/000300"
IMAGE, MASK = f"leftImg8bit/{PLACE}_image.jpg", f"gtFine/{PLACE}_label.png"
LEAK = "in another split (val/2/000500), so scores would leak; remove it"


def hash_of(number: int) -> int:
    """A hash that differs from others in many bits."""
    return number * 0x9E3779B97F4A7C15 % 2**64


FAULTS: dict[str, tuple[dict[str, Any], str]] = {  # changes of one sample by the rule that they break, and the reason
    "files_decode": ({"error": f"{MASK}: cannot be decoded"}, f"{MASK}: cannot be decoded"),
    "image_present": ({"image": None}, f"{MASK}: no image belongs to this mask; add or remove it"),
    "mask_present": ({"mask": None}, f"{IMAGE}: its mask is missing; add it"),
    "mask_lossless": (
        {"mask": "a.JPG"},
        "a.JPG: a JPEG changes class ids at every edge; export the masks anew as PNG",
    ),
    "mask_size": ({"mask_height": 228}, f"{MASK}: is 320x228 and its image 320x227; both must be of one size"),
    "ids_in_table": (
        {"invalid_ids": [9, 14]},
        f"{MASK}: holds ids outside idd-level1: 9, 14 (masks that hold them: 9 in 1, 14 in 1); "
        "import with another --classes or repair the mask",
    ),
    "mask_not_interpolated": (
        {"interpolation": 0.4},
        f"{MASK}: 40% of its edges pass through ids between their two sides, so it was resized with an interpolating "
        "filter and holds wrong classes; export the masks anew, nearest neighbour only",
    ),
    "sample_unique": ({"sample": "train/1/000000"}, f"{IMAGE}: a second file is the same sample; rename one"),
    "drive_in_one_split": (
        {"drive": "2"},
        f"{IMAGE}: drive 2 is also in another split (val/2/000500), so scores would leak; move one",
    ),
    "image_in_one_split": ({"image_sha": "of val/2/000500"}, f"{IMAGE}: the same image is also {LEAK}"),
    "near_duplicate": ({"phash": hash_of(500) ^ 0b1111}, f"{IMAGE}: nearly the same image is {LEAK}"),
    "dark": ({"brightness": 0.05}, f"{IMAGE}: is dark (mean brightness 0.05); look at it"),
    "overexposed": ({"brightness": 0.95}, f"{IMAGE}: is overexposed (mean brightness 0.95); look at it"),
    "blurred": ({"sharpness": 3.0}, f"{IMAGE}: is blurred (sharpness 3); look at it"),
    "size_usual": (
        {"height": 2270, "mask_height": 2270, "width": 3200, "mask_width": 3200},
        f"{IMAGE}: 3200x2270 is 1e+02 times the usual number of pixels; look at it",
    ),
    "aspect_usual": (
        {"width": 160, "mask_width": 160},
        f"{IMAGE}: 160x227 is 0.5 times as wide for its height as usual; look at it",
    ),
    "void_share": ({"class_pixels": [1] * 7 + [93]}, f"{MASK}: 93% of the pixels are void; look at it"),
}


def good(number: int) -> dict[str, Any]:
    split, drive = ("train", "1") if number < 500 else ("val", "2")
    sample = f"{split}/{drive}/{number:06d}"
    return {
        "sample": sample,
        "image": f"leftImg8bit/{sample}_image.jpg",
        "mask": f"gtFine/{sample}_label.png",
        "drive": drive if number else "0",
        "split": split,
        "image_sha": f"of {sample}",
        "height": 227,
        "width": 320,
        "mask_height": 227,
        "mask_width": 320,
        "class_pixels": [10] * 7 + [0],
        "invalid_ids": [],
        "brightness": 0.5,
        "contrast": 0.2,
        "sharpness": 500.0,
        "phash": hash_of(number),
        "interpolation": 0.01,
    }


def scan(changes: dict[int, dict[str, Any]], count: int = 501, table: ClassTable = TABLE) -> Manifest:
    """Good samples but for the changes by number; 0 to 499 are in train, the rest in val."""
    return from_rows([good(number) | changes.get(number, {}) for number in range(count)], "idd-lite", table)


def flagged(found: Manifest, limits: ValidateParams = LIMITS, reference: Shares | None = None) -> dict[str, list[str]]:
    """Reasons by expectation."""
    verdict, rows = judged(found, reference or {}, limits)
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.expectation, []).append(row.reason)
    assert {each.name: each.failing for each in verdict.expectations if not each.passed} == {
        name: len(listed) for name, listed in reasons.items()
    }
    return reasons


def test_good_samples_pass_every_rule() -> None:
    assert flagged(scan({})) == {}


def test_every_rule_for_samples_has_a_fault_here() -> None:
    assert FAULTS.keys() == of_samples(LIMITS).keys()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_rule_and_by_no_other(name: str) -> None:
    changes, reason = FAULTS[name]
    found = flagged(scan({300: changes}))
    assert set(found) == {name}
    assert reason in found[name]
    assert len(found[name]) == (2 if name == "sample_unique" else 1)


@pytest.mark.parametrize("name", FAULTS)
def test_every_failing_sample_is_found_and_not_the_first_few(name: str) -> None:
    changes, _ = FAULTS[name]
    found = flagged(scan(dict.fromkeys(range(100, 340), changes)))
    assert set(found) == {name}
    assert len(found[name]) == (241 if name == "sample_unique" else 240)


def test_a_copy_is_flagged_where_it_can_go_and_not_in_the_frozen_split() -> None:
    copies = {number: {"image_sha": "one"} for number in (0, 500, 501)}
    reasons = flagged(scan(copies | {501: {"split": "test", "drive": "3", "image_sha": "one"}}, count=502))
    assert [reason.partition(": ")[0] for reason in reasons["image_in_one_split"]] == [
        "leftImg8bit/train/1/000000_image.jpg",
        "leftImg8bit/val/2/000501_image.jpg",  # number 501 is in test by its split
    ]


@pytest.mark.parametrize(
    "changes",
    [{"phash": hash_of(500) ^ 0b11111}, {"brightness": 0.55}, {"contrast": 0.25}, {"phash": None}],
    ids=["five bits", "brighter", "more contrast", "no hash"],
)
def test_images_that_differ_by_more_are_no_near_duplicates(changes: dict[str, Any]) -> None:
    near = {"phash": hash_of(500) ^ 0b1111}
    assert flagged(scan({300: near | changes})) == {}


def test_flat_images_are_no_near_duplicates_of_one_another() -> None:
    flat = {"phash": 7, "contrast": 0.0}
    assert flagged(scan({300: flat, 500: flat})) == {}


def test_a_colour_that_the_table_lacks_is_named_as_such_with_the_masks_that_hold_it() -> None:
    entry = {"id": 0, "name": "a", "color": (1, 2, 3)}
    table = ClassTable.model_validate({"name": "mine", "source": "color", "classes": [entry]})
    colours = [0x01, 0xFF00FF, *range(0x100, 0x110)]
    faults: dict[int, dict[str, Any]] = {7: {"invalid_ids": colours}, 8: {"invalid_ids": [0xFF00FF]}}
    good_pixels = {number: {"class_pixels": [10, 0]} for number in range(501)}
    changes = {number: good_pixels[number] | faults.get(number, {}) for number in good_pixels}
    many, one = flagged(scan(changes, table=table))["ids_in_table"]
    assert "label.png: holds colours outside mine: #000001, #ff00ff, #000100, #000101, #000102 and 13 more (" in many
    assert "outside mine: #ff00ff (masks that hold them: #ff00ff in 2)" in one


def test_near_duplicates_may_be_left_alone() -> None:
    off = LIMITS.model_copy(update={"near_duplicate": -1})
    assert flagged(scan({300: {"phash": hash_of(500)}}), off) == {}


def test_data_without_a_validation_split_fail_though_every_sample_is_good() -> None:
    remedy = "add some, or set scan.split to drive in params.yaml to have a split made of two drives or more"
    assert flagged(scan({}, count=20)) == {"splits_there": [f"split val holds no sample; {remedy}"]}


def test_test_images_need_no_mask() -> None:
    absent = dict.fromkeys(("mask", "mask_height", "mask_width", "class_pixels", "invalid_ids"))
    assert flagged(scan({500: {"split": "test", "drive": "3"} | absent, 501: {}}, count=502)) == {}


def test_a_class_that_train_lacks_is_warned_of() -> None:
    found = flagged(scan({key: {"class_pixels": [10, 10, 0, 10, 10, 10, 10, 0]} for key in range(500)}))
    assert found == {
        "class_in_train": [
            "class living-things never occurs in train, so it cannot be learned; add samples or drop it from the table"
        ]
    }


def test_a_binary_set_declared_with_26_classes_is_refused() -> None:
    level3 = ClassTable.find("idd-level3")
    verdict, rows = judged(
        scan({key: {"class_pixels": [10, 10] + [0] * 25} for key in range(501)}, table=level3), {}, LIMITS
    )
    assert not verdict.passed
    assert [row.reason for row in rows if row.severity == "critical"] == [
        "92% of the classes of idd-level3 never occur in train; is it the right table? Import with --classes"
    ]


def test_class_shares_that_moved_are_warned_of() -> None:
    shares = dict.fromkeys(TABLE.names, 0.1) | {"sky": 0.4}
    found = flagged(scan({}), reference={"train": shares})
    assert found == {
        "class_shares": ["split train: class shares moved by 26% since the last accepted data; look at it"]
    }
    assert flagged(scan({}), reference={"train": dict.fromkeys(TABLE.names, 1 / 7)}) == {}
    assert flagged(scan({}), reference={"train": {"sky": 1.0}}) == {}  # the table has changed since


@pytest.mark.parametrize(("brightness", "passes"), [(0.1, True), (0.9, True), (0.09, False), (0.91, False)])
def test_the_bounds_of_brightness_are_inclusive(brightness: float, passes: bool) -> None:
    low, high = (float(np.float32(bound)) for bound in (0.1, 0.9))
    limits = LIMITS.model_copy(update={"brightness_min": low, "brightness_max": high})
    assert (flagged(scan({7: {"brightness": brightness}}), limits) == {}) == passes


def test_what_can_be_lived_with_is_a_warning_and_the_rest_is_critical() -> None:
    rules = of_samples(LIMITS) | of_splits(LIMITS) | of_classes() | of_table(LIMITS)
    assert {name for name, rule in rules.items() if rule.severity == "warning"} == {
        "dark",
        "overexposed",
        "blurred",
        "size_usual",
        "aspect_usual",
        "void_share",
        "class_shares",
        "class_in_train",
        "drives_to_train",
    }


def test_a_scan_of_nulls_is_judged_without_a_crash() -> None:
    absent = {key: None for key in good(0) if key not in {"sample", "split"}}
    assert set(flagged(scan(dict.fromkeys(range(501), absent)))) == {"image_present", "mask_present"}


def test_one_sample_is_judged_without_a_crash() -> None:
    assert set(flagged(scan({}, count=1))) == {"splits_there", "enough_to_train", "drives_to_train"}


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_images_that_are_turned_so_that_no_size_tells_are_counted(orientation: int) -> None:
    found = flagged(scan({key: {"orientation": orientation} for key in range(10, 13)}))
    assert list(found) == ["upright"]
    [reason] = found["upright"]
    first = IMAGE.replace("300", "010")
    assert reason == (
        f"3 images are turned or mirrored by their EXIF orientation, as viewers show them (first {first}), and nothing "
        "tells whether their masks were drawn so too; look at one"
    )
    assert flagged(scan({10: {"orientation": orientation, "mask": None, "split": "test", "drive": "3"}})) == {}


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_image_on_its_side_is_counted_only_where_it_is_square(orientation: int) -> None:
    assert flagged(scan({10: {"orientation": orientation}})) == {}
    square = dict.fromkeys(("height", "width", "mask_height", "mask_width"), 250)
    assert list(flagged(scan({10: square | {"orientation": orientation}}))) == ["upright"]


def test_a_mask_that_lies_as_the_camera_lay_is_told_the_orientation() -> None:
    lying = {"mask_height": 320, "mask_width": 227}
    plain, turned = (flagged(scan({300: lying | {"orientation": each}}))["mask_size"][0] for each in (None, 6))
    assert plain == f"{MASK}: is 227x320 and its image 320x227; both must be of one size"
    words = "its EXIF orientation turns the image by 90 degrees, and the mask was drawn on it as it lies: turn the mask"
    assert turned == f"{plain}; {words}"

from typing import Any

import numpy as np
import pandas as pd
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows
from roadseg.validate.rules import Rule, judged, rules

RULES = rules(brightness_min=0.1, brightness_max=0.9, void_max=0.3, table="idd-level1")
PLACE = "train/1/000300"
FAULTS: dict[str, tuple[dict[str, Any], str]] = {  # changes of one sample by the rule that they break, and the reason
    "files_decode": ({"error": "gtFine/x_label.png: cannot be decoded"}, "gtFine/x_label.png: cannot be decoded"),
    "image_present": ({"image": None}, f"gtFine/{PLACE}_label.png: no image belongs to this mask; add or remove it"),
    "mask_present": ({"mask": None}, f"leftImg8bit/{PLACE}_image.jpg: its mask is missing; add it"),
    "mask_size": (
        {"mask_height": 228},
        f"gtFine/{PLACE}_label.png: is 320x228 and its image 320x227; both must be of one size",
    ),
    "ids_in_table": (
        {"invalid_ids": [9, 14]},
        f"gtFine/{PLACE}_label.png: ids 9, 14 are outside idd-level1; import with another --classes or repair the mask",
    ),
    "sample_unique": (
        {"sample": "train/1/000000"},
        f"leftImg8bit/{PLACE}_image.jpg: a second file is the same sample; rename one",
    ),
    "drive_in_one_split": (
        {"drive": "2"},
        f"leftImg8bit/{PLACE}_image.jpg: drive 2 is in two splits, so scores would leak; move one",
    ),
    "image_in_one_split": (
        {"image_sha": "of val/2/000500"},
        f"leftImg8bit/{PLACE}_image.jpg: the same image is in two splits, so scores would leak; remove one",
    ),
    "brightness": (
        {"brightness": 0.95},
        f"leftImg8bit/{PLACE}_image.jpg: mean brightness 0.95 is outside the bounds; look at it",
    ),
    "void_share": (
        {"class_pixels": [1] * 7 + [93]},
        f"gtFine/{PLACE}_label.png: 93% of the pixels are void; look at it",
    ),
}
PARTNERS = {"sample_unique": {0, 300}, "drive_in_one_split": {300, 500}, "image_in_one_split": {300, 500}}


def good(number: int) -> dict[str, Any]:
    split, drive = ("train", "1") if number < 500 else ("val", "2")
    sample = f"{split}/{drive}/{number:06d}"
    return {
        "sample": sample,
        "image": f"leftImg8bit/{sample}_image.jpg",
        "mask": f"gtFine/{sample}_label.png",
        "drive": drive,
        "split": split,
        "image_sha": f"of {sample}",
        "height": 227,
        "width": 320,
        "mask_height": 227,
        "mask_width": 320,
        "class_pixels": [10] * 7 + [0],
        "invalid_ids": [],
        "brightness": 0.5,
    }


def frame(changes: dict[int, dict[str, Any]], count: int = 501) -> pd.DataFrame:
    """Good samples but for the changes by number; 0 to 499 are in train, the rest in val."""
    rows = [good(number) | changes.get(number, {}) for number in range(count)]
    scan = from_rows(rows, "idd-lite", ClassTable.find("idd-level1")).frame
    # by image: a changed name of a sample must not move it
    return judged(scan.sort_values("image" if scan["image"].notna().all() else "sample", ignore_index=True))


def failing(found: pd.DataFrame, chosen: dict[str, Rule] = RULES) -> dict[str, list[int]]:
    from roadseg.validate.expectations import judge  # late: Great Expectations loads in seconds

    return {result.name: result.failing for result in judge(found, chosen) if not result.passed}


def test_good_samples_pass_every_rule() -> None:
    assert failing(frame({})) == {}


def test_every_rule_has_a_fault_here() -> None:
    assert FAULTS.keys() == RULES.keys()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_rule_and_by_no_other(name: str) -> None:
    changes, reason = FAULTS[name]
    found = frame({300: changes})
    assert failing(found) == {name: sorted(PARTNERS.get(name, {300}))}
    assert RULES[name].reason(found.iloc[300].to_dict()) == reason


@pytest.mark.parametrize("name", FAULTS)
def test_every_failing_sample_is_found_and_not_the_first_few(name: str) -> None:
    changes, _ = FAULTS[name]
    bad = range(100, 400)
    found = failing(frame(dict.fromkeys(bad, changes)))
    assert set(found) == {name}
    assert set(found[name]) - set(bad) == PARTNERS.get(name, {300}) - {300}
    assert set(bad) <= set(found[name])


def test_data_without_a_validation_split_fail_though_every_sample_is_good() -> None:
    assert failing(frame({}, count=20)) == {"splits_there": []}


def test_test_images_need_no_mask() -> None:
    absent = dict.fromkeys(("mask", "mask_height", "mask_width", "class_pixels", "invalid_ids"))
    assert failing(frame({500: {"split": "test", "drive": "3"} | absent, 501: {}}, count=502)) == {}


@pytest.mark.parametrize(("brightness", "passes"), [(0.1, True), (0.9, True), (0.09, False), (0.91, False)])
def test_the_bounds_of_brightness_are_inclusive(brightness: float, passes: bool) -> None:
    at_bounds = rules(*(float(np.float32(bound)) for bound in (0.1, 0.9)), void_max=0.3, table="")
    assert ("brightness" not in failing(frame({7: {"brightness": brightness}}), at_bounds)) == passes


def test_only_brightness_and_void_are_warnings() -> None:
    assert {name for name, rule in RULES.items() if rule.severity == "warning"} == {"brightness", "void_share"}


def test_a_scan_of_nulls_is_judged_without_a_crash() -> None:
    absent = {key: None for key in good(0) if key not in {"sample", "split"}}
    assert set(failing(frame(dict.fromkeys(range(501), absent)))) == {"image_present", "mask_present"}

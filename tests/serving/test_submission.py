from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.serving.submission import submission_names


@pytest.mark.parametrize(
    ("table", "picture", "name"),
    [
        ("idd-level3", "val/12/0045_leftImg8bit.png", "12/0045_gtFine_labellevel3Ids.png"),
        ("idd-level3", "val/12/0045_image.jpg", "12/0045_gtFine_labellevel3Ids.png"),
        ("idd-level1", "val/12/frame9_image.jpg", "12/frame9_label.png"),
        ("idd-level1", "val/12/frame9_leftImg8bit.jpg", "12/frame9_gtFine_labellevel1Ids.png"),
    ],
)
def test_a_mask_is_called_as_the_label_that_it_is_scored_against(table: str, picture: str, name: str) -> None:
    [found] = submission_names([Path(picture)], ClassTable.find(table)).values()
    assert found.as_posix() == name


@pytest.mark.parametrize("table", ["idd-level2", "road"])
def test_other_classes_are_no_submission(table: str) -> None:
    with pytest.raises(UsageError, match=f"takes models of idd-level1 and idd-level3, and this one has {table}"):
        submission_names([], ClassTable.find(table))


def test_pictures_of_another_data_set_are_refused() -> None:
    with pytest.raises(UsageError, match=r"12/street\.jpg is not called as IDD calls its images"):
        submission_names([Path("12/street.jpg")], ClassTable.find("idd-level3"))


def test_two_splits_are_no_submission() -> None:
    pictures = [Path(f"{split}/12/0045_image.jpg") for split in ("train", "val")]
    with pytest.raises(UsageError, match=r"are both 12/0045_label\.png of the submission: predict one split"):
        submission_names(pictures, ClassTable.find("idd-level1"))

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.evaluation import Evaluation
from roadseg.evaluate.scores import summary
from roadseg.scoring.folders import pairs, score_folders


@pytest.fixture
def guesses(tmp_path: Path) -> Path:
    return tmp_path / "guesses"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return tmp_path / "labels"


@pytest.fixture(scope="module")
def road() -> ClassTable:
    """A table without an official size."""
    return ClassTable.find("road")


def save(path: Path, ids: np.ndarray | list[list[int]] = [[0]]) -> None:  # noqa: B006
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, np.uint8)).save(path)


def put(folder: Path, *names: str) -> None:
    for name in names:
        save(folder / name)


def matched(guesses: Path, labels: Path) -> dict[str, str]:
    return {
        label.relative_to(labels).as_posix(): guess.relative_to(guesses).as_posix()
        for guess, label in pairs(guesses, labels)
    }


def total(found: Evaluation) -> list[list[int]]:
    matrix: list[list[int]] = found.counts.total().confusion.tolist()
    return matrix


def noise(height: int, width: int, classes: int) -> np.ndarray:
    ids = np.random.default_rng(height).integers(0, classes + 1, (height, width), dtype=np.uint8)
    return np.where(ids == classes, np.uint8(255), ids)


@pytest.mark.parametrize(
    ("guess", "label"),
    [
        ("7.png", "7.png"),
        ("7_image.png", "7_label.png"),
        ("7_leftImg8bit.png", "7_gtFine_labellevel3Ids.png"),
        ("7.png", "7_gtFine_labelIds.png"),
        ("val/12/7_image.png", "val/12/7_label.png"),
        ("7_image.png", "val/12/7_label.png"),
        ("other/place/7.png", "val/12/7_label.png"),
        ("val/12/7.png", "7_label.png"),
        ("7_sat.png", "7_mask.png"),
        ("Image_7.png", "Mask_7.tif"),
        ("val/images/7.png", "val/masks/7.png"),
        ("North/7.png", "masks/north/gt_7.png"),
    ],
)
def test_a_label_meets_its_prediction_by_path_or_by_name_without_endings(
    guesses: Path, labels: Path, guess: str, label: str
) -> None:
    put(guesses, guess)
    put(labels, label)
    assert matched(guesses, labels) == {label: guess}


def test_a_path_that_fits_goes_before_a_name_that_fits(guesses: Path, labels: Path) -> None:
    put(guesses, "1/7.png", "2/7.png")
    put(labels, "1/7_label.png", "2/7_label.png")
    assert matched(guesses, labels) == {"1/7_label.png": "1/7.png", "2/7_label.png": "2/7.png"}


def test_instance_labels_and_predictions_without_a_label_are_passed_over(guesses: Path, labels: Path) -> None:
    put(guesses, "7.png", "8.png")
    put(labels, "7_label.png", "7_inst_label.png")
    assert matched(guesses, labels) == {"7_label.png": "7.png"}


def test_labels_without_a_prediction_are_refused_and_named(guesses: Path, labels: Path) -> None:
    put(guesses, "7.png")
    put(labels, "7_label.png", "val/8_label.png")
    with pytest.raises(DataRefused, match=f"{labels}/val/8_label.png: no prediction in {guesses}"):
        pairs(guesses, labels)


def test_many_missing_predictions_are_counted_after_the_first_few(guesses: Path, labels: Path) -> None:
    put(guesses, "x.png")
    put(labels, *(f"{number}.png" for number in range(9)))
    with pytest.raises(DataRefused, match=r"; and 4 more$") as caught:
        pairs(guesses, labels)
    assert str(caught.value).count("no prediction") == 5


def test_two_predictions_of_one_name_are_ambiguous(guesses: Path, labels: Path) -> None:
    put(guesses, "a/7.png", "b/7.png")
    put(labels, "val/7_label.png")
    with pytest.raises(DataRefused, match=f"{labels}/val/7_label.png: 2 predictions in {guesses}"):
        pairs(guesses, labels)


def test_one_prediction_does_not_serve_two_labels(guesses: Path, labels: Path) -> None:
    put(guesses, "7.png")
    put(labels, "1/7_label.png", "2/7_label.png")
    with pytest.raises(DataRefused, match="1 predictions fit several labels; keep the labels' folders"):
        pairs(guesses, labels)


def test_two_files_that_differ_only_in_their_endings_are_ambiguous(guesses: Path, labels: Path) -> None:
    put(guesses, "7.png")
    put(labels, "7_label.png", "7_gtFine_labelIds.png")
    with pytest.raises(DataRefused, match=r"7_label\.png and .*7_gtFine_labelIds\.png have the same name"):
        pairs(guesses, labels)


@pytest.mark.parametrize("empty", ["guesses", "labels"])
def test_a_missing_folder_and_one_without_masks_are_faults_of_the_command(
    guesses: Path, labels: Path, empty: str
) -> None:
    put(guesses if empty == "labels" else labels, "7.png")
    folder = guesses if empty == "guesses" else labels
    with pytest.raises(UsageError, match=f"{folder}: no such folder"):
        pairs(guesses, labels)
    folder.mkdir()
    (folder / "7.jpg").touch()
    with pytest.raises(UsageError, match=f"{folder} holds no .png masks"):
        pairs(guesses, labels)


@pytest.mark.parametrize(("guess", "label"), [((227, 320), (227, 320)), ((64, 99), (227, 320)), ((720, 1280), (3, 5))])
def test_masks_of_any_size_are_compared_at_the_official_one(
    guesses: Path, labels: Path, idd_level1: ClassTable, guess: tuple[int, int], label: tuple[int, int]
) -> None:
    ids = noise(*guess, 7), noise(*label, 7)
    save(guesses / "7.png", ids[0])
    save(labels / "7_label.png", ids[1])
    small = [np.asarray(Image.fromarray(one).resize((256, 128), Image.Resampling.NEAREST)) for one in ids]
    found = score_folders(guesses, labels, idd_level1)
    np.testing.assert_array_equal(found.counts.confusion, [confusion(small[1], small[0], 7)])
    assert found.images["sample"].to_pylist() == ["7_label.png"]


def test_images_are_added_up_before_the_score_is_taken(guesses: Path, labels: Path, road: ClassTable) -> None:
    for name, label, guess in (("1", [[0, 0, 1]], [[0, 0, 0]]), ("2", [[1, 1]], [[1, 1]])):
        save(labels / f"{name}.png", label)
        save(guesses / f"{name}.png", guess)
    found = score_folders(guesses, labels, road)
    assert len(found.counts) == 2
    assert total(found) == [[2, 0, 0], [1, 2, 0]]
    assert summary(found, resamples=100, seed=0)["miou"] == pytest.approx(2 / 3)


def test_labels_of_one_folder_are_a_drive_unless_all_are_in_one(guesses: Path, labels: Path, road: ClassTable) -> None:
    put(guesses, "a/1.png", "a/2.png", "b/3.png")
    put(labels, "a/1_label.png", "a/2_label.png")
    assert score_folders(guesses, labels, road).images["drive"].to_pylist() == [None, None]
    put(labels, "b/3_label.png")
    assert score_folders(guesses, labels, road).images["drive"].to_pylist() == ["a", "a", "b"]


def test_road_is_scored_alike_whether_either_side_stores_ones_or_255(
    guesses: Path, labels: Path, road: ClassTable
) -> None:
    save(labels / "7.png", [[0, 255, 255]])
    save(guesses / "7.png", [[0, 1, 255]])
    assert total(score_folders(guesses, labels, road)) == [[1, 0, 0], [0, 2, 0]]


def test_an_id_outside_the_table_is_a_wrong_guess_and_in_a_label_it_is_refused(
    guesses: Path, labels: Path, road: ClassTable
) -> None:
    save(labels / "7.png", [[0, 1, 1]])
    save(guesses / "7.png", [[0, 9, 1]])
    assert total(score_folders(guesses, labels, road)) == [[1, 0, 0], [0, 1, 1]]
    save(labels / "7.png", [[0, 9, 14]])
    with pytest.raises(DataRefused, match=f"{labels}/7.png: ids 9, 14 are outside road"):
        score_folders(guesses, labels, road)


@pytest.mark.parametrize("side", ["guesses", "labels"])
def test_a_picture_of_colours_is_refused_by_name(guesses: Path, labels: Path, road: ClassTable, side: str) -> None:
    put(guesses, "7.png")
    put(labels, "7.png")
    odd = (guesses if side == "guesses" else labels) / "7.png"
    Image.new("RGB", (4, 4), (1, 0, 0)).save(odd)
    with pytest.raises(DataRefused, match=f"{odd}: has mode RGB"):
        score_folders(guesses, labels, road)


def test_files_that_are_no_data_are_passed_over(guesses: Path, labels: Path) -> None:
    put(guesses, "7.png", "._7.png", "@eaDir/7.png")
    put(labels, "7_label.png", "._7_label.png")
    assert matched(guesses, labels) == {"7_label.png": "7.png"}


@pytest.mark.parametrize("source", ["id", "color"])
def test_predictions_hold_class_ids_and_labels_what_the_table_says(guesses: Path, labels: Path, source: str) -> None:
    colors = np.array([[128, 64, 128], [0, 0, 142]], np.uint8)
    entries = [{"id": n, "name": "ab"[n], "values": [7 + n], "color": colors[n].tolist()} for n in (0, 1)]
    table = ClassTable.model_validate({"name": "own", "source": source, "classes": entries})
    ids = np.array([[0, 0, 1, 1]], np.uint8)
    save(guesses / "7.png", ids)
    save(labels / "7.png", colors[ids] if source == "color" else ids + 7)
    assert total(score_folders(guesses, labels, table)) == [[2, 0, 0], [0, 2, 0]]
    if source == "color":  # another tool may paint
        save(guesses / "7.png", colors[ids])
        assert total(score_folders(guesses, labels, table)) == [[2, 0, 0], [0, 2, 0]]
        return
    save(guesses / "7.png", ids + 7)
    with pytest.raises(DataRefused, match=r"7\.png: holds ids 7, 8 and none of 0 to 1: a prediction has the class ids"):
        score_folders(guesses, labels, table)


def test_255_beside_1_in_labels_is_void_as_in_an_import(guesses: Path, labels: Path, road: ClassTable) -> None:
    save(guesses / "7.png", [[0, 1, 1]])
    save(labels / "7.png", [[0, 1, 255]])
    save(guesses / "8.png", [[0, 1, 0]])
    save(labels / "8.png", [[0, 1, 255]])
    assert summary(score_folders(guesses, labels, road), resamples=100, seed=0)["miou"] == 1

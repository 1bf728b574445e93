"""Data sets as people have them: each comes in as it says, or is refused with the reason."""

import unicodedata
import zipfile
from pathlib import Path

import pytest
from small_sets import LEVEL, bring_in, by_number, found_in, judge, make_tree, named, pairs, put, reasons

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.intake import install
from roadseg.scan.layouts.names import key

LATER = range(50, 54)
SHADOW = b"\0\5\26\7" + bytes(60)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to make a set; the current folder is one to import it to, and DVC's second a call is saved."""
    monkeypatch.chdir(make_tree(tmp_path / "tree"))
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    monkeypatch.setattr(install, "dvc", lambda *_: "")
    return tmp_path / "source"


@pytest.mark.parametrize(
    "names",
    [
        "{}/images/image_#.png {}/masks/mask_#.png",
        "images/{}2014/#.png masks/{}2014/#.png",
        "imgs/{}_set/#.png gt/{}_set/#.png",
        "{}set/rgb/#.png {}set/labels/#.png",
        "{}/#.png {}annot/#.png",
        "{}/#.png {}_labels/#_L.png",
        "{}/#_sat.png {}/#_mask.png",
    ],
)
def test_the_split_of_folders_is_kept_however_they_are_called(tmp_path: Path, names: str) -> None:
    numbers = {"train": list(range(10)), "val": list(LATER), "test": list(range(200, 204))}
    for split, each in numbers.items():
        named(tmp_path, *names.replace("{}", split).replace("#", "{}").split(), each)
    found = found_in(tmp_path)
    assert by_number(found) == numbers
    assert set(found.drive_of.values()) == {None}


@pytest.mark.parametrize("names", ["{}/Image_#.png {}/Mask_#.png", "{}/Images/Image_#.png {}/Masks/Mask_#.png"])
def test_drives_whose_numbers_begin_anew_stay_apart(tmp_path: Path, names: str) -> None:
    for drive in "abc":
        named(tmp_path, *names.replace("{}", drive).replace("#", "{}").split(), range(4))
    found = found_in(tmp_path)
    assert found.drive_of == {f"{drive}/Image_{number}": drive for drive in "abc" for number in range(4)}
    assert found.splits().keys() == {"train", "val"}


def test_a_set_of_numbers_in_folders_of_splits_is_read_to_the_pixel(source: Path) -> None:
    for split, numbers in (("train", range(6)), ("val", range(100, 106)), ("test", range(200, 206))):
        pairs(source, f"{split}/images/image_{{}}.png", f"{split}/masks/mask_{{}}.png", numbers)
    found = bring_in(source)
    assert found.splits() == {"test": 6, "train": 6, "val": 6}
    assert found.pixels[1] * 4 == sum(found.pixels)


def test_a_part_whose_folders_have_other_names_is_not_left_out(tmp_path: Path) -> None:
    named(tmp_path, "imagesTr/{}.png", "labelsTr/{}.png")
    named(tmp_path, "images_val/{}.png", "labels_val/{}.png", LATER)
    with pytest.raises(DataRefused, match=r"imagesTr and .*labelsTr: hold 12 pictures of equal names"):
        found_in(tmp_path)


def test_a_split_in_the_names_of_files_is_not_dealt_anew(tmp_path: Path) -> None:
    for split, numbers in (("train", range(8)), ("val", LATER)):
        named(tmp_path, f"images/{split}_{{}}.png", f"masks/{split}_{{}}.png", numbers)
    with pytest.raises(DataRefused, match=r"names say of which split they are .*images/train_.*images/\{split\}_"):
        found_in(tmp_path)
    patterns = ("images/{split}_{id}.png", "masks/{split}_{id}.png")
    assert found_in(tmp_path, *patterns).splits() == {"train": 8, "val": 4}


def test_a_set_that_is_all_test_is_refused(tmp_path: Path) -> None:
    named(tmp_path, "test/images/{}.png", "test/masks/{}.png")
    with pytest.raises(DataRefused, match="every sample is in a folder that is called test; rename it"):
        found_in(tmp_path, split="drive")


def test_a_numbered_pair_in_a_corner_is_not_the_set(tmp_path: Path) -> None:
    named(tmp_path, "images/{:04}.png", "masks/{:04}.png")
    named(tmp_path, "docs/image_{}.png", "docs/mask_{}.png", range(70, 72))
    assert sorted(found_in(tmp_path).split_of) == [f"{number:04}" for number in range(12)]


@pytest.mark.parametrize("around", ["set", "set/inner/deep", "labels", "images"])
@pytest.mark.parametrize("beside", ["README.md", "desktop.ini", ".git/config"])
def test_a_folder_around_the_set_is_no_drive(tmp_path: Path, around: str, beside: str) -> None:
    named(tmp_path / around, "train/images/{}.png", "train/masks/{}.png")
    named(tmp_path / around, "val/images/{}.png", "val/masks/{}.png", LATER)
    put(tmp_path / beside, "about")
    found = found_in(tmp_path)
    assert (found.splits(), set(found.drive_of.values())) == ({"train": 12, "val": 4}, {None})


@pytest.mark.parametrize(
    ("images", "masks", "splits"),
    [
        ("{split}/{id}.png", "{split}annot/{id}.png", True),
        ("{id}.png", "{id}_mask.png", False),
        ("{id}_a.png", "{id}.png", False),
    ],
)
def test_what_fits_the_pattern_that_says_more_fits_no_other(
    tmp_path: Path, images: str, masks: str, splits: bool
) -> None:
    for split, numbers in (("train", range(12)), ("val", LATER)):
        names = (name.replace("{split}", split).replace("{id}", "{}") for name in (images, masks))
        named(tmp_path, *names, numbers)
    found = found_in(tmp_path, images=images, masks=masks)
    assert all((*found.pairs.keys(), *found.pairs.values()))
    assert len(found.pairs) == 16
    assert not splits or found.splits() == {"train": 12, "val": 4}


@pytest.mark.parametrize(
    "names", ["#.png #_mask.png", "#_sat.jpg #_mask.png", "x/image_#.png x/gt_#.png", "a/#.jpg a/#-label.png"]
)
def test_image_and_mask_may_lie_in_one_folder(tmp_path: Path, names: str) -> None:
    named(tmp_path, *names.replace("#", "{}").split())
    found = found_in(tmp_path)
    assert len(found.pairs) == 12


def test_what_systems_leave_is_no_data(source: Path) -> None:
    pairs(source, "leftImg8bit/train/0/{}_image.jpg", "gtFine/train/0/{}_label.png", range(6), LEVEL)
    pairs(source, "leftImg8bit/val/1/{}_image.jpg", "gtFine/val/1/{}_label.png", LATER, LEVEL)
    for path in list(source.rglob("*.*")):
        put(path.with_name(f"._{path.name}"), SHADOW)
        put(path.parent / "@eaDir" / path.name, SHADOW)
    put(source / "#recycle/leftImg8bit/train/7/1_image.jpg", SHADOW)
    put(source / "Icon\r", b"")
    assert bring_in(source, None).splits() == {"train": 6, "val": 4}
    put(Path("data/raw/leftImg8bit/train/0/._8_image.jpg"), SHADOW)  # by hand, after the import
    judge()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (
            f"images/{unicodedata.normalize('NFC', 'Allée_')}{{}}.png",
            f"masks/{unicodedata.normalize('NFD', 'Allée_')}{{}}.png",
        ),
        ("images/IMG_{}.jpg", "masks/img_{}.png"),
        ("images/{}.jpg", "masks/{}-mask.png"),
        ("images/{}.jpg", "annotations/masks/mask_{}.png"),
        ("Images/North/{}.jpg", "Masks/north/gt_{}.png"),
    ],
)
def test_names_are_compared_without_what_people_and_disks_change(tmp_path: Path, image: str, mask: str) -> None:
    named(tmp_path, image, mask)
    found = found_in(tmp_path)
    assert len(found.pairs) == 12
    assert [key(Path(one or "").stem) for one in found.pairs] == [
        key(Path(one or "").stem) for one in found.pairs.values()
    ]


def test_a_zip_of_windows_is_unpacked_into_folders(source: Path, tmp_path: Path) -> None:
    pairs(source, "images/{}.png", "masks/{}.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("images\\", b"")
        for path in source.rglob("*.png"):
            archive.writestr(str(path.relative_to(source)).replace("/", "\\"), path.read_bytes())
    assert len(bring_in(tmp_path / "set.zip").pairs) == 12


def cityscapes(source: Path, ending: str, ids: tuple[int, ...] = LEVEL) -> None:
    for split, town, numbers in (
        ("train", "aachen", range(4)),
        ("train", "bochum", range(9, 13)),
        ("val", "ulm", LATER),
    ):
        at = f"{split}/{town}/{town}_{{:06}}_000019"
        pairs(source, f"leftImg8bit/{at}_leftImg8bit.png", f"gtFine/{at}_gtFine_{ending}.png", numbers, ids)


def test_label_ids_of_cityscapes_are_not_read_as_idd_s(source: Path) -> None:
    cityscapes(source, "labelIds", (1, 4, 7, 8, 11, 21, 23, 24, 26))
    with pytest.raises(DataRefused, match=r"aachen_000000_000019_gtFine_labelIds.png: is named as Cityscapes names"):
        bring_in(source, None)


def test_label_files_that_no_layout_reads_are_named_with_the_patterns_that_do(source: Path) -> None:
    cityscapes(source, "labelTrainIds")
    with pytest.raises(
        DataRefused, match=r"aachen_000000_000019_gtFine_labelTrainIds.png, .*: none of the label"
    ) as caught:
        bring_in(source, None)
    _, images, _, masks = str(caught.value).split("`")[1].replace("--", "").replace("'", "").split()
    assert bring_in(source, None, images=images, masks=masks).splits() == {"train": 8, "val": 4}


def test_one_drive_to_train_is_accepted_with_a_warning(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs(source, "images/train/a/{}.png", "masks/train/a/{}.png", range(5))
    pairs(source, "images/val/b/{}.png", "masks/val/b/{}.png", LATER)
    assert bring_in(source).splits() == {"train": 5, "val": 4}
    assert (
        "warning: data/raw: split train has one labelled drive, so training watches the end" in capsys.readouterr().out
    )


def test_one_image_to_train_is_refused_before_anything_is_preprocessed(source: Path) -> None:
    pairs(source, "train/images/{}.png", "train/masks/{}.png", range(1))
    pairs(source, "val/images/{}.png", "val/masks/{}.png", LATER)
    with pytest.raises(DataRefused, match="enough_to_train"):
        bring_in(source)


def test_a_table_with_one_class_is_refused_before_anything_is_unpacked(source: Path) -> None:
    pairs(source, "images/{}.png", "masks/{}.png")
    put(Path("own.yaml"), "name: own\nvoid: [0]\nclasses:\n- {id: 0, name: road, values: [1]}\n")
    with pytest.raises(UsageError, match="own: road is its one class, so every model would score"):
        bring_in(source, "own.yaml")
    assert not Path("data/raw").exists()


def test_masks_of_one_class_are_refused(source: Path) -> None:
    pairs(source, "images/{}.png", "masks/{}.png", ids=(1,))
    with pytest.raises(DataRefused, match="classes_to_tell"):
        bring_in(source)


@pytest.mark.parametrize("most", [4, 5, 6])
def test_the_default_table_is_refused_where_no_mask_holds_all_its_ids(
    source: Path, capsys: pytest.CaptureFixture[str], most: int
) -> None:
    pairs(source, "images/{}.png", "masks/{}.png", ids=tuple(range(most)))
    with pytest.raises(DataRefused, match="table_given"):
        bring_in(source, None)
    assert reasons() == ["table_given"]
    assert "sky of idd-level1, the table that is taken unasked; import with --classes" in capsys.readouterr().out


def test_a_split_that_is_the_only_folder_of_an_archive_stays(source: Path, tmp_path: Path) -> None:
    pairs(source / "my_test_data", "images/{}.png", "masks/{}.png")
    assert bring_in(source).splits().keys() == {"train", "val"}, "a name of the set is no split"
    pairs(tmp_path / "other/train", "images/{}.png", "masks/{}.png")
    with pytest.raises(DataRefused, match="splits_there"):
        bring_in(tmp_path / "other")

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.pages.draw import overlay
from roadseg.predict.predictor import Predictor
from roadseg.serving.folders import pictures_in, predict_files

PICTURES = {"top.jpg": 0, "one/a.png": 3, "one/two/b.c.JPG": 6, "one/two/d.png": 1, "z.bmp": 2}  # path: class


@pytest.fixture
def folder(tmp_path: Path, idd_level1: ClassTable) -> Path:
    for number, (name, kind) in enumerate(PICTURES.items()):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30), tuple(idd_level1.palette[kind].tolist())).save(path, quality=95)
    (tmp_path / "photos/notes.txt").write_text("not a picture, and not named like one")
    return tmp_path / "photos"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_a_nested_folder_keeps_its_shape(folder: Path, tmp_path: Path, painter: Bundle, batch: int) -> None:
    out, paths = tmp_path / "out", pictures_in(folder)
    masks = list(predict_files(Predictor(painter, batch=batch), paths, folder, out))
    stems = {str(Path(name).with_suffix("")): kind for name, kind in PICTURES.items()}
    assert written(out) == {f"masks/{stem}.png" for stem in stems} | {f"overlays/{stem}.jpg" for stem in stems}
    assert {path.relative_to(out / "masks").with_suffix("").as_posix() for path in masks} == stems.keys()
    for number, (stem, kind) in enumerate(stems.items()):
        mask = pixels(out / f"masks/{stem}.png")
        assert mask.shape == pixels(out / f"overlays/{stem}.jpg").shape[:2] == (30, 40 + number)
        assert set(np.unique(mask)) == {kind}


def test_one_picture_is_written_by_its_name(folder: Path, tmp_path: Path, painter: Bundle) -> None:
    path = folder / "one/a.png"
    list(predict_files(Predictor(painter, batch=4), pictures_in(path), path.parent, tmp_path / "out"))
    assert written(tmp_path / "out") == {"masks/a.png", "overlays/a.jpg"}


def test_an_overlay_shows_its_own_picture(
    folder: Path, tmp_path: Path, painter: Bundle, idd_level1: ClassTable
) -> None:
    list(predict_files(Predictor(painter, batch=2), pictures_in(folder), folder, tmp_path / "out"))
    for name in PICTURES:
        stem, image = Path(name).with_suffix(""), pixels(folder / name)
        expected = overlay(image, pixels(tmp_path / f"out/masks/{stem}.png"), idd_level1)
        shown = pixels(tmp_path / f"out/overlays/{stem}.jpg").astype(float)
        assert np.abs(shown - expected).mean() < 5  # JPEG


def test_what_is_no_picture_is_named_when_all_others_are_done(folder: Path, tmp_path: Path, painter: Bundle) -> None:
    for name in ("broken.jpg", "one/broken.jpg"):
        (folder / name).write_bytes(b"no picture")
    done = []
    with pytest.raises(DataRefused, match=r"/broken\.jpg: not a picture.*one/broken\.jpg: .*the other 5 have masks"):
        done += predict_files(Predictor(painter, batch=2), pictures_in(folder), folder, tmp_path / "out")
    for name, kind in PICTURES.items():
        assert set(np.unique(pixels(tmp_path / "out/masks" / Path(name).with_suffix(".png")))) == {kind}


@pytest.mark.parametrize("out", ["out", ".", "one/results"])
def test_hidden_files_and_what_a_prediction_wrote_are_no_pictures(folder: Path, painter: Bundle, out: str) -> None:
    for path in list(folder.rglob("*.*")):
        (path.parent / f"._{path.name}").write_bytes(b"no picture")
    before = pictures_in(folder)
    assert {path.relative_to(folder).as_posix() for path in before} == set(PICTURES)
    list(predict_files(Predictor(painter, batch=4), before, folder, folder / out))
    assert pictures_in(folder) == pictures_in(folder, folder / out) == pictures_in(folder, folder / "other") == before


def test_two_pictures_whose_names_differ_in_letters_are_refused(folder: Path) -> None:
    (folder / "one/A.png").write_bytes((folder / "one/a.png").read_bytes())
    with pytest.raises(UsageError, match="differ in the ending only, or in large letters"):
        pictures_in(folder)


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="holds no pictures"):
        pictures_in(tmp_path)


def test_two_pictures_that_differ_in_the_ending_only_are_refused(folder: Path) -> None:
    (folder / "one/a.bmp").write_bytes((folder / "z.bmp").read_bytes())
    with pytest.raises(UsageError, match=r"a\.png and .*a\.bmp differ in the ending only"):
        pictures_in(folder)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_picture_that_lies_on_its_side_is_predicted_as_viewers_show_it(
    tmp_path: Path, painter: Bundle, idd_level1: ClassTable, ending: str
) -> None:
    upright = np.repeat(idd_level1.palette[[3] * 20 + [0] * 10][:, None], 40, 1)  # vehicles above, road below
    lying, exif = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[274] = 6
    path = tmp_path / f"photo.{ending}"
    lying.save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    list(predict_files(Predictor(painter, batch=1), [path], tmp_path, tmp_path / "out"))
    mask = pixels(tmp_path / "out/masks/photo.png")
    assert mask.shape == pixels(tmp_path / "out/overlays/photo.jpg").shape[:2] == (30, 40)
    assert (set(np.unique(mask[:14])), set(np.unique(mask[-4:]))) == ({3}, {0})


def test_grey_of_which_nothing_says_what_is_white_is_refused_by_name(tmp_path: Path, painter: Bundle) -> None:
    Image.fromarray(np.full((30, 40), 4000, np.uint16)).save(tmp_path / "thermal.png")
    with pytest.raises(DataRefused, match=rf"{tmp_path}/thermal\.png: has 16 bits a channel of which the upper ones"):
        list(predict_files(Predictor(painter, batch=1), [tmp_path / "thermal.png"], tmp_path, tmp_path / "out"))

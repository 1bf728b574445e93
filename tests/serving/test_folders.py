from pathlib import Path

import numpy as np
import pytest
from bundles import painter as painter_in
from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.pages.draw import overlay
from roadseg.predict.predictor import Predictor
from roadseg.serving import folders
from roadseg.serving.folders import Written, predict_files
from roadseg.serving.sources import find_pictures

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
    out = tmp_path / "out"
    masks = [mask.path for mask in predict_files(Predictor(painter, batch=batch), find_pictures([folder]), out)]
    stems = {str(Path(name).with_suffix("")): kind for name, kind in PICTURES.items()}
    assert written(out) == {f"masks/{stem}.png" for stem in stems} | {f"overlays/{stem}.jpg" for stem in stems}
    assert {path.relative_to(out / "masks").with_suffix("").as_posix() for path in masks} == stems.keys()
    for number, (stem, kind) in enumerate(stems.items()):
        mask = pixels(out / f"masks/{stem}.png")
        assert mask.shape == pixels(out / f"overlays/{stem}.jpg").shape[:2] == (30, 40 + number)
        assert set(np.unique(mask)) == {kind}


def test_one_picture_is_written_by_its_name(folder: Path, tmp_path: Path, painter: Bundle) -> None:
    list(predict_files(Predictor(painter, batch=4), find_pictures([folder / "one/a.png"]), tmp_path / "out"))
    assert written(tmp_path / "out") == {"masks/a.png", "overlays/a.jpg"}


def test_an_overlay_shows_its_own_picture(
    folder: Path, tmp_path: Path, painter: Bundle, idd_level1: ClassTable
) -> None:
    list(predict_files(Predictor(painter, batch=2), find_pictures([folder]), tmp_path / "out"))
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
        done += predict_files(Predictor(painter, batch=2), find_pictures([folder]), tmp_path / "out")
    for name, kind in PICTURES.items():
        assert set(np.unique(pixels(tmp_path / "out/masks" / Path(name).with_suffix(".png")))) == {kind}


def test_where_all_are_no_pictures_no_others_are_named(tmp_path: Path, painter: Bundle) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataRefused, match=r"broken\.jpg: not a picture in a known format$"):
        list(predict_files(Predictor(painter, batch=2), find_pictures([tmp_path / "broken.jpg"]), tmp_path / "out"))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_a_picture_that_lies_on_its_side_is_predicted_as_viewers_show_it(
    tmp_path: Path, painter: Bundle, idd_level1: ClassTable, ending: str
) -> None:
    upright = np.repeat(idd_level1.palette[[3] * 20 + [0] * 10][:, None], 40, 1)  # vehicles above, road below
    lying, exif = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[274] = 6
    path = tmp_path / f"photo.{ending}"
    lying.save(path, exif=exif, **({"lossless": True} if ending == "webp" else {}))
    list(predict_files(Predictor(painter, batch=1), find_pictures([path]), tmp_path / "out"))
    mask = pixels(tmp_path / "out/masks/photo.png")
    assert mask.shape == pixels(tmp_path / "out/overlays/photo.jpg").shape[:2] == (30, 40)
    assert (set(np.unique(mask[:14])), set(np.unique(mask[-4:]))) == ({3}, {0})


def test_grey_of_which_nothing_says_what_is_white_is_refused_by_name(tmp_path: Path, painter: Bundle) -> None:
    Image.fromarray(np.full((30, 40), 4000, np.uint16)).save(tmp_path / "thermal.png")
    with pytest.raises(DataRefused, match=rf"{tmp_path}/thermal\.png: has 16 bits a channel of which the upper ones"):
        list(predict_files(Predictor(painter, batch=1), find_pictures([tmp_path / "thermal.png"]), tmp_path / "out"))


def run(folder: Path, out: Path, predictor: Predictor, **options: bool) -> dict[str, bool]:
    """Whether each mask was kept, by the picture's stem."""
    return {
        mask.path.stem: mask.kept for mask in predict_files(predictor, find_pictures([folder], out), out, **options)
    }


def test_what_stands_from_the_same_is_not_made_again(
    folder: Path, tmp_path: Path, painter: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, out = Predictor(painter, batch=2), tmp_path / "out"
    assert not any(run(folder, out, predictor).values())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    with monkeypatch.context() as patch:
        patch.setattr(folders, "decode_image", None)  # nothing is decoded
        assert run(folder, out, predictor) == dict.fromkeys(["a", "b.c", "d", "top", "z"], True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == before
    assert not any(run(folder, out, predictor, again=True).values())


def test_what_is_cut_short_or_of_another_picture_is_made_again(folder: Path, tmp_path: Path, painter: Bundle) -> None:
    predictor, out = Predictor(painter, batch=2), tmp_path / "out"
    run(folder, out, predictor)
    (out / "overlays/top.jpg").unlink()
    (out / "masks/one/a.png").write_bytes((out / "masks/one/a.png").read_bytes()[:30])
    Image.new("RGB", (44, 30), "red").save(folder / "z.bmp")  # as large as before
    (out / "masks/one/two/d.png").unlink()
    assert run(folder, out, predictor) == {"top": False, "a": False, "z": False, "d": False, "b.c": True}
    assert all(run(folder, out, predictor).values())


def test_other_weights_and_other_settings_make_all_again(
    folder: Path, tmp_path: Path, painter: Bundle, idd_level1: ClassTable
) -> None:
    out = tmp_path / "out"
    run(folder, out, Predictor(painter, batch=2))
    surer = painter_in(tmp_path / "surer", idd_level1, sure=2.0)
    assert all(run(folder, out, Predictor(painter, batch=4)).values())  # it changes no mask
    for other in (Predictor(painter, batch=2, flip=True), Predictor(surer, batch=2)):
        assert not any(run(folder, out, other).values())


def test_a_stopped_call_is_finished_by_the_next(folder: Path, tmp_path: Path, painter: Bundle) -> None:
    predictor, out = Predictor(painter, batch=1), tmp_path / "out"
    stopped = predict_files(predictor, find_pictures([folder]), out)
    first = next(stopped)
    stopped.close()
    assert first == Written(out / "masks/one/a.png", kept=False)
    kept = run(folder, out, predictor)
    assert kept["a"]
    assert len(kept) == 5


def test_pictures_that_no_one_may_read_do_not_stop_the_others(
    folder: Path, tmp_path: Path, painter: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> bytes:
        if path.name == "a.png":
            raise PermissionError(13, "Permission denied", str(path))
        return path.read_bytes()

    monkeypatch.setattr(folders, "read_bytes", read)
    with pytest.raises(DataRefused, match=r"one/a\.png: cannot be read: Permission denied; the other 4 have masks"):
        run(folder, tmp_path / "out", Predictor(painter, batch=2))
    assert len(list((tmp_path / "out/masks").rglob("*.png"))) == 4


def test_no_more_pictures_are_in_memory_than_said(
    tmp_path: Path, painter: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(tmp_path / f"{number}.png")
    decoded, most, decode = 0, 0, folders.decode_image

    def counting(content: bytes) -> np.ndarray:
        nonlocal decoded
        decoded += 1
        return decode(content)

    monkeypatch.setattr(folders, "decode_image", counting)
    for number, _ in enumerate(predict_files(Predictor(painter, batch=2), find_pictures([tmp_path]), tmp_path / "o")):
        most = max(most, decoded - number)
    assert decoded == 60
    assert most <= 2 * folders.AHEAD + 2 + 2  # waiting at both ends, in a batch, and at work


def test_a_submission_is_what_the_authors_scripts_look_for(
    tmp_path: Path, painter: Bundle, idd_level1: ClassTable
) -> None:
    pictures = [tmp_path / f"test/{drive}/{name}_image.jpg" for drive, name in (("7", "000012"), ("12", "frame3"))]
    for number, path in enumerate(pictures):
        path.parent.mkdir(parents=True)
        Image.new("RGB", (40, 30), tuple(idd_level1.palette[number].tolist())).save(path, quality=95)
    run(tmp_path / "test", tmp_path / "out", Predictor(painter, batch=2), submission=True)
    assert written(tmp_path / "out/submission") == {"7/000012_label.png", "12/frame3_label.png"}
    for name, number in (("7/000012", 0), ("12/frame3", 1)):
        mask = pixels(tmp_path / f"out/submission/{name}_label.png")
        np.testing.assert_array_equal(mask, pixels(tmp_path / f"out/masks/{name}_image.png"))
        assert (mask.shape, set(np.unique(mask))) == ((30, 40), {number})
    (tmp_path / "out/submission/7/000012_label.png").unlink()
    kept = run(tmp_path / "test", tmp_path / "out", Predictor(painter, batch=2), submission=True)
    assert kept == {"000012_image": False, "frame3_image": True}

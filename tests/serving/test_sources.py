from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.predict.predictor import Predictor
from roadseg.serving import sources
from roadseg.serving.folders import predict_files
from roadseg.serving.sources import find_pictures

NAMES = ("top.jpg", "one/a.png", "one/two/b.c.JPG", "one/two/d.png", "z.bmp")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(path)
    (tmp_path / "photos/notes.html").write_text("not a picture, and not named like one")
    return tmp_path / "photos"


def found(*given: str | Path, out: Path | None = None) -> tuple[Path, list[str]]:
    pictures = find_pictures(given, out)
    return pictures.root, [path.relative_to(pictures.root).as_posix() for path in pictures.paths]


def test_a_picture_is_named_from_its_folder(folder: Path) -> None:
    assert found(folder / "one/a.png") == (folder / "one", ["a.png"])


@pytest.mark.parametrize(
    ("pattern", "root", "names"),
    [
        ("one/*.png", "one", ["a.png"]),
        ("one/*/*", "one", ["two/b.c.JPG", "two/d.png"]),
        ("o*", "", ["one/a.png", "one/two/b.c.JPG", "one/two/d.png"]),
        ("**/*.[jp]*g", "", ["one/a.png", "one/two/d.png", "top.jpg"]),
        ("o?e/two/d.*", "", ["one/two/d.png"]),
    ],
)
def test_a_glob_is_named_from_its_last_fixed_folder(folder: Path, pattern: str, root: str, names: list[str]) -> None:
    assert found(f"{folder}/{pattern}") == (folder / root, names)


def test_a_list_names_pictures_from_its_own_folder(folder: Path) -> None:
    lines = ["# chosen by hand", "", "one/two/d.png", "one/a.png", f"{folder}/one/two/../a.png", "one/gone.png"]
    (folder / "list.txt").write_text("\r\n".join(lines), encoding="utf-8-sig")
    assert found(folder / "list.txt") == (folder / "one", ["two/d.png", "a.png", "gone.png"])


def test_several_are_named_from_the_folder_that_holds_them_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert found("one/a.png", "one/two", "one/a.png") == (folder / "one", ["a.png", "two/b.c.JPG", "two/d.png"])


def test_a_file_whose_name_looks_like_a_pattern_is_itself(folder: Path) -> None:
    (folder / "z.bmp").rename(folder / "[1].bmp")
    assert found(folder / "[1].bmp") == (folder, ["[1].bmp"])


@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_frames_come_in_the_order_of_their_numbers(numbers: list[int]) -> None:
    names = [sources.PurePosixPath(f"video/frame{number}.png") for number in numbers]
    assert sorted(names, key=sources._by_number) == [
        sources.PurePosixPath(f"video/frame{number}.png") for number in sorted(numbers)
    ]


@given(st.lists(st.text("a1_²٣/", min_size=1), min_size=2, max_size=4))
def test_all_names_have_an_order(names: list[str]) -> None:
    sorted(map(sources.PurePosixPath, names), key=sources._by_number)


@pytest.mark.parametrize("out", ["out", ".", "one/results"])
def test_hidden_files_and_what_a_prediction_wrote_are_no_pictures(folder: Path, painter: Bundle, out: str) -> None:
    for path in list(folder.rglob("*.*")):
        (path.parent / f"._{path.name}").write_bytes(b"no picture")
    before = find_pictures([folder])
    assert {path.relative_to(folder).as_posix() for path in before.paths} == set(NAMES)
    list(predict_files(Predictor(painter, batch=4), before, folder / out))
    (folder / out / "submission/7").mkdir(parents=True)
    Image.new("L", (40, 30)).save(folder / out / "submission/7/1_label.png")
    for again in (None, folder / out, folder / "other"):
        assert find_pictures([folder], again) == before
        assert set(find_pictures([f"{folder}/**/*"], again).paths) == set(before.paths)


@pytest.mark.parametrize("other", ["one/A.png", "one/a.bmp"])
def test_two_pictures_whose_masks_would_have_one_name_are_refused(folder: Path, other: str) -> None:
    (folder / other).write_bytes((folder / "one/a.png").read_bytes())
    with pytest.raises(UsageError, match=r"/a\..* differ in the ending only, or in large letters"):
        find_pictures([folder])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("empty", "empty holds no pictures"),
        ("*.gif", r"\*\.gif holds no pictures"),
        ("nowhere", "nowhere is no file, no folder and no pattern"),
        ("nothing.txt", r"nothing\.txt is empty"),
        ("binary.lst", r"binary\.lst is no list in UTF-8"),
    ],
)
def test_what_names_no_picture_is_refused(tmp_path: Path, given: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing.txt").write_text("\n# nothing\n")
    (tmp_path / "binary.lst").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UsageError, match=said):
        find_pictures([tmp_path / given])

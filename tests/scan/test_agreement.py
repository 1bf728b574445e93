"""What only a whole set of masks tells: whether 255 is a class, and whether palettes have one order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judging import SCAN, flagged, judge
from PIL import Image
from trees import scan_params

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.scan.stage import run

WIDTH, HEIGHT = 32, 24


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty checkout, in which scan runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROADSEG_WORKERS", "1")


def stripes(*values: int) -> np.ndarray:
    """Columns of values, as many of each."""
    return np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))


def scanned(masks: list[Image.Image], classes: ClassTable, ending: str = "png", **options: Any) -> Manifest:
    """The scan of noise with these masks."""
    for kind in ("images", "masks"):
        Path("data/raw", kind).mkdir(parents=True)
    for number, mask in enumerate(masks):
        noise = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(f"data/raw/images/{number}.png")
        mask.save(f"data/raw/masks/{number}.{ending}", **options)
    classes.write(Path("data/classes.yaml"))
    run(scan=scan_params())
    return read_manifest(SCAN, "scan")


def pixels(scan: Manifest) -> list[int]:
    return np.sum(list(scan.class_pixels().values()), axis=0).tolist()


def errors(scan: Manifest) -> dict[str, str]:
    return {row["mask"]: row["error"] for row in scan.records() if row["error"]}


def own(**classes: list[int]) -> ClassTable:
    entries = [{"id": n, "name": name, "values": values} for n, (name, values) in enumerate(classes.items())]
    return ClassTable.model_validate({"name": "own", "classes": entries})


QUARTER = HEIGHT * WIDTH // 4


@pytest.mark.parametrize("mode", ["L", "RGB", "LA"])
def test_255_beside_1_is_void_in_the_whole_set(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    masks = [stripes(0, 0, 1, 255), stripes(0, 0, 0, 1), stripes(0, 0, 0, 255)]
    scan = scanned([Image.fromarray(mask).convert(mode) for mask in masks], ClassTable.find("road"))
    assert pixels(scan) == [8 * QUARTER, 2 * QUARTER, 2 * QUARTER]
    assert errors(scan) == {}
    assert scan.classes.classes[1].values == (1,), "by which preprocess, evaluate and predict read it too"
    assert "so road is read with 255 as void" in capsys.readouterr().out


@pytest.mark.parametrize("value", [1, 255])
def test_a_set_of_one_or_the_other_is_road_and_no_table_changes(value: int) -> None:
    scan = scanned([Image.fromarray(stripes(0, 0, 0, value))] * 2, ClassTable.find("road"))
    assert pixels(scan) == [6 * QUARTER, 2 * QUARTER, 0]
    assert scan.classes == ClassTable.find("road")


def test_ones_in_some_masks_and_255_in_others_are_refused_with_a_file_of_each() -> None:
    masks = [stripes(0, 1), stripes(0, 1), stripes(0, 255)]
    found = errors(scanned([Image.fromarray(mask) for mask in masks], ClassTable.find("road")))
    assert list(found) == ["masks/2.png"]
    assert found["masks/2.png"].startswith(
        "masks/2.png: stores road as 255, or ignores pixels, where masks/0.png has 1: write all masks alike, or import"
    )


def test_a_table_of_ones_own_that_lists_both_means_both() -> None:
    scan = scanned([Image.fromarray(stripes(0, 0, 1, 255))] * 2, own(rest=[0], road=[1, 255]))
    assert pixels(scan) == [4 * QUARTER, 4 * QUARTER, 0]


def painted(ids: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(ids)
    picture.putpalette([channel for color in colors for channel in color])
    return picture


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif"])
def test_palettes_of_two_orders_are_refused_and_the_rarer_order_is_named(ending: str) -> None:
    masks = [painted(stripes(0, 1), BLACK, RED)] * 3 + [painted(stripes(1, 0), RED, BLACK)] * 2
    found = errors(scanned(masks, ClassTable.find("road"), ending))
    assert list(found) == [f"masks/3.{ending}", f"masks/4.{ending}"]
    assert all(f"in its palette and masks/0.{ending} at" in said for said in found.values())
    with pytest.raises(DataRefused, match="files_decode"):
        judge_in_the_tree()
    assert {entry["expectation"] for entry in flagged()} >= {"files_decode"}


def judge_in_the_tree() -> None:
    Path("reports").mkdir()
    Path("data/quarantine.csv").write_text("sample,image_sha,reason\n")
    Path("data/reference.json").write_text("{}")
    judge()


@pytest.mark.parametrize(
    "masks",
    [
        [painted(stripes(0, 1), BLACK, WHITE), painted(stripes(0, 0), BLACK), painted(stripes(1, 1), BLACK, WHITE)],
        [painted(stripes(0, 1), BLACK, WHITE), painted(stripes(0, 1), RED, (0, 9, 9))],
        [painted(stripes(0, 1), BLACK, BLACK), painted(stripes(0, 0), BLACK, BLACK), painted(stripes(1), BLACK, BLACK)],
        [painted(stripes(0, 255), *[BLACK] * 255, WHITE), painted(stripes(0, 1), BLACK, WHITE)],
        [painted(stripes(0, 1), BLACK, WHITE), Image.fromarray(stripes(0, 1))],
    ],
    ids=["cut short", "painted at random", "one colour for two", "void painted like a class", "beside grey"],
)
def test_palettes_that_do_not_contradict_one_another_are_accepted(masks: list[Image.Image]) -> None:
    assert errors(scanned(masks, own(rest=[0], road=[1]))) == {}


def test_a_table_of_colours_reads_any_order() -> None:
    entries = [{"id": 0, "name": "rest", "color": BLACK}, {"id": 1, "name": "road", "color": WHITE}]
    table = ClassTable.model_validate({"name": "own", "source": "color", "classes": entries})
    scan = scanned([painted(stripes(0, 0, 0, 1), BLACK, WHITE), painted(stripes(1, 1, 1, 0), WHITE, BLACK)], table)
    assert (errors(scan), pixels(scan)) == ({}, [6 * QUARTER, 2 * QUARTER, 0])


@pytest.mark.parametrize("ending", ["labelIds", "labellevel1Ids"])
@pytest.mark.parametrize("depth", ["", "{split}/{drive}/"])
def test_a_name_of_idd_s_says_nothing_of_masks_that_were_found_by_patterns(ending: str, depth: str) -> None:
    inner = depth.format(split="train", drive="a")
    for kind, name in (("leftImg8bit", "1.png"), ("gtFine", f"1_gtFine_{ending}.png")):
        path = Path("data/raw", kind, inner, name)
        path.parent.mkdir(parents=True)
        Image.fromarray(stripes(0, 0, 0, 1)).save(path)
    ClassTable.find("road").write(Path("data/classes.yaml"))
    run(scan=scan_params(images=f"leftImg8bit/{depth}{{id}}.png", masks=f"gtFine/{depth}{{id}}_gtFine_{ending}.png"))
    scan = read_manifest(SCAN, "scan")
    assert (pixels(scan), scan.records()[0]["coding"]) == ([3 * QUARTER, QUARTER, 0], None)


def test_a_tool_s_ids_under_idd_s_names_and_folders_are_refused_by_name() -> None:
    for number in range(2):
        for kind, name in (("leftImg8bit", "_leftImg8bit.png"), ("gtFine", "_gtFine_labelIds.png")):
            path = Path("data/raw", kind, "train/a", f"{number}{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(stripes(0, 0, 0, 1)).save(path)
    ClassTable.find("road").write(Path("data/classes.yaml"))
    run(scan=scan_params())
    said = errors(read_manifest(SCAN, "scan"))
    assert len(said) == 2
    assert all("all 2 masks of the set hold 0 and 1 alone" in reason for reason in said.values())

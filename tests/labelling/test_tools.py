"""What is exported to a tool and comes back unchanged is what was exported; what is damaged is refused by name."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.labelling.batch import Batch, distinct_colors, painted
from roadseg.labelling.tools import brush, studio
from roadseg.labelling.tools.read import read_export
from roadseg.labelling.tools.write import TOOLS, export_batch


def masks_of(batch: Batch, seed: int = 0) -> dict[str, np.ndarray]:
    """Masks with all classes and void, put where the model's are."""
    masks = {}
    for number, pick in enumerate(batch.picks):
        ids = np.random.default_rng(seed + number).integers(0, batch.classes.count + 1, (pick.height // 8, 8))
        mask = np.kron(np.where(ids == batch.classes.count, VOID, ids), np.ones((8, pick.width // 8))).astype(np.uint8)
        Image.fromarray(mask).save(batch.folder / "masks" / f"{pick.name}.png")
        masks[pick.name] = mask
    return masks


def unpacked(folder: Path) -> Path:
    for packed in folder.rglob("*.zip"):
        zipfile.ZipFile(packed).extractall(folder / "annotations")
    return folder / "annotations" if (folder / "annotations").exists() else folder


def annotated(tasks: Path) -> Path:
    """Label Studio's import as its export: somebody submitted each prediction as it was, and it was uploaded."""
    content = json.loads(tasks.read_text())
    for number, task in enumerate(content, 1):
        task |= {"id": number, "annotations": [{"id": number, "result": task.pop("predictions")[0]["result"]}]}
        task["data"] = {"image": f"/data/upload/3/1a2b3c4d-{task['data']['name']}.jpg"}
    tasks.write_text(json.dumps(content))
    return tasks


def returned(batch: Batch, to: str, folder: Path) -> dict[str, np.ndarray]:
    export_batch(batch, to, folder / "out", folder)
    if to == "label-studio":
        annotated(folder / "out/tasks.json")
        shutil.rmtree(folder / "out/masks")
    found = read_export(unpacked(folder / "out"), batch)
    assert found.faults == []
    return {name: read() for name, read in found.masks.items()}


@pytest.mark.parametrize("colors", ["the table's", "others"])
@pytest.mark.parametrize("to", TOOLS)
def test_what_comes_back_unchanged_is_what_went_out(batch: Batch, tmp_path: Path, to: str, colors: str) -> None:
    if colors == "others":  # black, and two alike, which tools could not tell apart
        entries = [entry.model_copy(update={"color": (0, 0, 0)}) for entry in batch.classes.classes]
        batch = replace(batch, colors=distinct_colors(batch.classes.model_copy(update={"classes": tuple(entries)})))
    masks = masks_of(batch)
    back = returned(batch, to, tmp_path / "tool")
    assert back.keys() == masks.keys()
    for name, mask in masks.items():
        np.testing.assert_array_equal(back[name], mask)


@pytest.mark.parametrize("to", TOOLS)
def test_an_export_has_every_picture_as_it_was_and_the_class_table(batch: Batch, tmp_path: Path, to: str) -> None:
    export_batch(batch, to, tmp_path / "tool/out", tmp_path / "tool")
    for pick in batch.picks:
        assert (tmp_path / "tool/out/images" / pick.picture).read_bytes() == batch.picture(pick).read_bytes()
    assert ClassTable.read(tmp_path / "tool/out/classes.yaml") == batch.classes
    with pytest.raises(UsageError, match="is there already"):
        export_batch(batch, to, tmp_path / "tool/out", tmp_path / "tool")


def test_masks_with_a_palette_and_in_grey_are_read_as_cvat_writes_them(batch: Batch, tmp_path: Path) -> None:
    masks = masks_of(batch)
    export_batch(batch, "cvat", tmp_path / "out", tmp_path)
    folder = unpacked(tmp_path / "out")
    palette = np.zeros((256, 3), np.uint8)
    palette[1 : batch.classes.count + 1] = list(batch.colors.values())
    for number, pick in enumerate(batch.picks):
        place = np.where(masks[pick.name] == VOID, 0, masks[pick.name] + 1).astype(np.uint8)  # in labelmap.txt
        picture = Image.fromarray(place)
        if number:
            picture = picture.convert("P")
            picture.putpalette(palette.ravel().tolist())
        picture.save(folder / f"SegmentationClass/{pick.name}.png")
    for name, read in read_export(folder, batch).masks.items():
        np.testing.assert_array_equal(read(), masks[name])


def test_pictures_of_label_studio_s_brush_are_read_with_the_json_that_says_whose_they_are(
    batch: Batch, tmp_path: Path
) -> None:
    masks = masks_of(batch)
    export_batch(batch, "label-studio", tmp_path / "out", tmp_path)
    annotated(tmp_path / "out/tasks.json")
    shutil.rmtree(tmp_path / "out/masks")
    for number, pick in enumerate(batch.picks, 1):
        for id_, label in enumerate(batch.classes.names):
            painted_here = np.where(masks[pick.name] == id_, 255, 0).astype(np.uint8)
            name = f"task-{number}-annotation-{number}-by-1-tag-{label}-0.png"
            Image.fromarray(painted_here).save(tmp_path / "out" / name)
    for name, read in read_export(tmp_path / "out", batch).masks.items():
        np.testing.assert_array_equal(read(), masks[name])


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 70))))
def test_a_brush_unpacks_to_what_was_packed(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(brush.unpack_brush(brush.pack_brush(mask), *mask.shape), mask)


def test_a_brush_is_packed_as_label_studio_packs_it() -> None:
    # 8 pixels of 4 channels: length 32, words of 8 bits, sizes 3, 4, 8, 16, a run of 32 in the size 8
    bits = f"{32:032b}" + "00111" + "0010" + "0011" + "0111" + "1111" + "1" + "10" + f"{31:08b}" + "11111111"
    bits += "0" * (-len(bits) % 8)
    assert brush.pack_brush(np.ones((2, 4), bool)) == [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


@pytest.mark.parametrize("packed", [[], [255] * 4, [0, 0, 0, 64, 57], "rle", [1.5], [300] * 9])
def test_a_brush_that_is_damaged_is_refused_before_anything_large_is_made(packed: list[int]) -> None:
    with pytest.raises(brush.Damaged):
        brush.unpack_brush(packed, 2, 8)


Harm = Callable[[Path, Batch], None]


def first(folder: Path, batch: Batch) -> Path:
    return folder / f"SegmentationClass/{batch.picks[0].name}.png"


def smaller(folder: Path, batch: Batch) -> None:
    Image.open(first(folder, batch)).resize((32, 24), Image.Resampling.NEAREST).save(first(folder, batch))


def lossy(folder: Path, batch: Batch) -> None:
    Image.open(first(folder, batch)).convert("RGB").save(first(folder, batch), "JPEG")


def other_color(folder: Path, batch: Batch) -> None:
    pixels = np.array(Image.open(first(folder, batch)).convert("RGB"))
    pixels[2, 5] = (1, 2, 3)
    Image.fromarray(pixels).save(first(folder, batch))


def other_label(folder: Path, batch: Batch) -> None:
    text = (folder / "labelmap.txt").read_text()
    (folder / "labelmap.txt").write_text(text.replace(batch.classes.names[0], "tram"))


def cut(folder: Path, batch: Batch) -> None:
    first(folder, batch).write_bytes(first(folder, batch).read_bytes()[:-40])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (smaller, "is 32x24, and the picture 64x48"),
        (lossy, "is a JPEG, which changes ids"),
        (other_color, "#010203 at x 5, y 2 is no label of its list"),
        (other_label, "is label 'tram', which the batch's table idd-level1 lacks"),
        (cut, "cannot be decoded"),
    ],
)
def test_a_mask_that_is_damaged_is_refused_by_name(batch: Batch, tmp_path: Path, harm: Harm, said: str) -> None:
    masks_of(batch)
    export_batch(batch, "cvat", tmp_path / "out", tmp_path)
    folder = unpacked(tmp_path / "out")
    harm(folder, batch)
    with pytest.raises(DataRefused, match=f"SegmentationClass/{batch.picks[0].name}.png: .*{said}"):
        read_export(folder, batch).masks[batch.picks[0].name]()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "polygonlabels"}, "holds 'polygonlabels'; only brush masks"),
        ({"original_width": 8}, "is 8x48, and the picture 64x48"),
        ({"value": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["drivable"]}}, "is cut"),
        ({"value": {"format": "rle", "rle": [], "brushlabels": ["tram"]}}, "holds label 'tram'"),
    ],
)
def test_a_task_that_is_damaged_is_refused_by_name(
    batch: Batch, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    export_batch(batch, "label-studio", tmp_path / "out", tmp_path)
    tasks = json.loads(annotated(tmp_path / "out/tasks.json").read_text())
    tasks[0]["annotations"][0]["result"][0] |= change
    (tmp_path / "one").mkdir()
    (tmp_path / "one/export.json").write_text(json.dumps(tasks))
    with pytest.raises(DataRefused, match=f"export.json: task 1: .*{said}"):
        read_export(tmp_path / "one", batch).masks[batch.picks[0].name]()


@pytest.mark.parametrize("text", ["{", '{"images": []}', "[1]", "[" * 100_000])
def test_a_json_that_is_no_list_of_tasks_is_refused_by_name(batch: Batch, tmp_path: Path, text: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/export.json").write_text(text)
    with pytest.raises(DataRefused, match=r"export\.json: is no"):
        read_export(tmp_path / "one", batch)


@pytest.mark.parametrize("number", ["9" * 5000, "256", "-1", "x"])
def test_a_list_of_labels_with_no_colour_is_refused_by_name(batch: Batch, tmp_path: Path, number: str) -> None:
    (tmp_path / "labelmap.txt").write_text(f"sky:{number},0,0::\n")
    with pytest.raises(DataRefused, match="in the list of labels is no label with a colour"):
        read_export(tmp_path, batch)


def test_a_json_that_no_memory_holds_is_refused_by_name(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "MAX_JSON", 10)
    (tmp_path / "one").mkdir()
    (tmp_path / "one/export.json").write_text("[" + " " * 20 + "]")
    with pytest.raises(DataRefused, match=r"export\.json: 22 bytes are over 10: export fewer tasks"):
        read_export(tmp_path / "one", batch)


def test_a_task_s_id_is_said_in_what_every_terminal_takes(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/export.json").write_text('[{"id": "\\ud800", "data": {"image": "foreign.png"}}]')
    assert read_export(tmp_path / "one", batch).faults == ["export.json: task 1: is no picture of batch one"]


def test_tasks_are_written_one_by_one(batch: Batch, tmp_path: Path) -> None:
    export_batch(batch, "label-studio", tmp_path / "out", tmp_path)
    lines = (tmp_path / "out/tasks.json").read_text().splitlines()
    assert len(lines) == len(batch.picks)
    assert [task["data"]["name"] for task in json.loads("".join(lines))] == [pick.name for pick in batch.picks]


@pytest.mark.parametrize("called", ["background", "Background"])
def test_a_class_that_cvat_would_take_for_void_is_refused_by_name(batch: Batch, tmp_path: Path, called: str) -> None:
    first, *rest = batch.classes.classes
    classes = batch.classes.model_copy(update={"classes": (first.model_copy(update={"name": called}), *rest)})
    batch = replace(batch, classes=classes, colors=distinct_colors(classes))
    masks = masks_of(batch)
    for to in TOOLS:
        if to.startswith("cvat"):
            with pytest.raises(UsageError, match=f"class {called}: CVAT's layouts call void so"):
                export_batch(batch, to, tmp_path / to, tmp_path)
    back = returned(batch, "folders", tmp_path / "tool")
    for name, mask in masks.items():
        np.testing.assert_array_equal(back[name], mask)


def test_void_is_black_in_no_class_s_colour(batch: Batch) -> None:
    assert (0, 0, 0) not in batch.colors.values()
    assert len(set(batch.colors.values())) == batch.classes.count
    assert painted(np.full((1, 1), VOID, np.uint8), batch).tolist() == [[[0, 0, 0]]]

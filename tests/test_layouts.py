"""Every layout from a folder as users have it through import, scan, validate and preprocess, to the very pixels."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from trees import ROOT, put_image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.shards import Shards, shard_name
from roadseg.imaging.pixels import resize_mask
from roadseg.intake import install
from roadseg.preprocess import stage as preprocess
from roadseg.scan import stage as scan
from roadseg.validate import stage as validate

HEIGHT, WIDTH = 64, 96
LABELS = ["road", "sidewalk", "person", "car", "pole", "building", "sky"]  # one of each level-1 class


@dataclass(frozen=True)
class Scene:
    """One labelled scene: its place, its image file, and uint8 (H, W) level-1 ids."""

    split: str
    drive: str
    id: str
    image: Path
    ids: np.ndarray


def mask(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def polygons(path: Path, ids: np.ndarray) -> None:
    """The mask as polygons: a flat one for each run of a row, void left open."""
    objects = []
    for y, row in enumerate(ids):
        starts = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for start, end in pairwise(starts):
            if row[start] != 255:
                corners = [[start, y], [end - 1, y], [end - 1, y]]
                objects.append({"label": LABELS[row[start]], "polygon": corners, "deleted": 0})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": ids.shape[0], "imgWidth": ids.shape[1], "objects": objects}))


def idd_lite(root: Path, scenes: list[Scene]) -> None:
    for s in scenes:
        put_image(root / f"leftImg8bit/{s.split}/{s.drive}/{s.id}_image.jpg", s.image)
        mask(root / f"gtFine/{s.split}/{s.drive}/{s.id}_label.png", s.ids)


def idd_20k_polygons(root: Path, scenes: list[Scene]) -> None:
    for s in scenes:
        put_image(root / f"leftImg8bit/{s.split}/{s.drive}/{s.id}_leftImg8bit.jpg", s.image)
        polygons(root / f"gtFine/{s.split}/{s.drive}/{s.id}_gtFine_polygons.json", s.ids)


def idd_20k_pictures_in_parts(root: Path, scenes: list[Scene]) -> None:
    drives = sorted({s.drive for s in scenes})
    for s in scenes:
        part = root / ("IDD_Segmentation" if drives.index(s.drive) % 2 else "idd20kII")
        put_image(part / f"leftImg8bit/{s.split}/{s.drive}/{s.id}_leftImg8bit.jpg", s.image)
        mask(part / f"gtFine/{s.split}/{s.drive}/{s.id}_gtFine_labellevel1Ids.png", s.ids)
        mask(part / f"gtFine/{s.split}/{s.drive}/{s.id}_gtFine_instanceids.png", s.ids)


def numbered(root: Path, scenes: list[Scene], road: int = 1) -> None:
    drives = sorted({s.drive for s in scenes})
    for n, s in enumerate(scenes):  # as a recorder counts: each drive in a block of its own
        number = 50 * drives.index(s.drive) + n % 50
        put_image(root / f"image_archive/Image_{number}.jpg", s.image)
        mask(root / f"mask_archive/Mask_{number}.png", np.where(s.ids == 0, road, 0).astype(np.uint8))


def numbered_as_255(root: Path, scenes: list[Scene]) -> None:
    numbered(root, scenes, road=255)


def folders_with_splits(root: Path, scenes: list[Scene]) -> None:
    for s in scenes:
        put_image(root / s.split / f"images/{s.drive}_{s.id}.jpg", s.image)
        mask(root / s.split / f"masks/{s.drive}_{s.id}.png", s.ids)


def folders_of_drives_in_colours(root: Path, scenes: list[Scene]) -> None:
    for s in scenes:
        put_image(root / f"rgb/{s.drive}/{s.id}.jpg", s.image)
        mask(root / f"labels/{s.drive}/{s.id}_label.png", ClassTable.find("idd-level1").palette[s.ids])


def folders_with_lists(root: Path, scenes: list[Scene]) -> None:
    lists: dict[str, list[str]] = {}
    for s in scenes:
        put_image(root / f"JPEGImages/{s.drive}_{s.id}.jpg", s.image)
        mask(root / f"SegmentationClass/{s.drive}_{s.id}.png", s.ids)
        lists.setdefault(s.split, []).append(f"{s.drive}_{s.id}")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for split, names in lists.items():
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("\n".join(names))


def by_patterns(root: Path, scenes: list[Scene]) -> None:
    for s in scenes:
        put_image(root / f"cam0/{s.drive}/{s.id}-{s.split}.jpg", s.image)
        mask(root / f"truth-{s.drive}/{s.split}/{s.id}.png", s.ids)


COLORS = ClassTable.find("idd-level1").content | {"name": "painted", "source": "color", "void_colors": [[0, 0, 0]]}
PATTERNS = {"images": "cam0/{drive}/{id}-{split}.jpg", "masks": "truth-{drive}/{split}/{id}.png"}
CASES: list[tuple[Callable[[Path, list[Scene]], None], str, str, dict[str, str]]] = [
    (idd_lite, "idd-lite", "idd-level1", {}),
    (idd_20k_polygons, "idd-20k", "idd-level1", {}),
    (idd_20k_pictures_in_parts, "idd-20k", "idd-level1", {}),
    (numbered, "numbered", "road", {}),
    (numbered_as_255, "numbered", "road", {}),
    (folders_with_splits, "folders", "idd-level1", {}),
    (folders_of_drives_in_colours, "folders", "painted.yaml", {}),
    (folders_with_lists, "folders", "idd-level1", {"layout": "folders"}),
    (by_patterns, "folders", "idd-level1", PATTERNS),
]


@pytest.fixture(scope="module")
def labelled(scenes: Path) -> list[Scene]:
    found = []
    for path in sorted(scenes.glob("gtFine/*/*/*_label.png")):
        if not path.stem.endswith("_inst_label"):
            split, drive, name = path.relative_to(scenes / "gtFine").parts
            number = name.removesuffix("_label.png")
            image = scenes / "leftImg8bit" / split / drive / f"{number}_image.jpg"
            found.append(Scene(split, drive, number, image, np.array(Image.open(path))))
    return found


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the project's parameters; DVC's second a call is saved."""
    tree = tmp_path / "tree"
    (tree / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (tree / name).write_bytes((ROOT / name).read_bytes())
    (tree / "painted.yaml").write_text(yaml.safe_dump(COLORS))
    monkeypatch.chdir(tree)
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    monkeypatch.setattr(install, "dvc", lambda *_: "")
    return tree


def run_stages() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    scan.run(scan=scan.ScanParams(**params["scan"]))
    validate.run(validate=validate.ValidateParams(**params["validate"]))
    sized = params["preprocess"] | {"height": HEIGHT, "width": WIDTH}
    preprocess.run(preprocess=preprocess.PreprocessParams(**sized))


@pytest.mark.parametrize(("lay_out", "layout", "table", "given"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_layout_goes_from_import_to_shards_with_every_mask_in_its_place(
    tree: Path,
    tmp_path: Path,
    labelled: list[Scene],
    lay_out: Callable[[Path, list[Scene]], None],
    layout: str,
    table: str,
    given: dict[str, str],
) -> None:
    lay_out(tmp_path / "source", labelled)
    assert install.install(tree, tmp_path / "source", ClassTable.find(table), **given) == layout
    run_stages()
    manifest = read_manifest(Path("data/manifest.parquet"))
    assert manifest.layout == layout
    assert all(row["mask"] and not row["invalid_ids"] for row in manifest.records())
    assert {row["split"] for row in manifest.records()} == {"train", "val"}

    expected = {digest_file(scene.image): scene for scene in labelled}
    assert len(expected) == len(labelled)
    shards = Shards.open(Path("data/shards"))
    for entry in shards.index.to_dict("records"):
        scene = expected.pop(entry["image_sha"])
        truth = np.where(scene.ids == 0, 1, 0).astype(np.uint8) if table == "road" else scene.ids
        shard = shard_name(entry["drive"] if isinstance(entry["drive"], str) else None, entry["image_sha"])
        tile = shards.pair(entry["split"], shard)[1][entry["row"]]
        np.testing.assert_array_equal(tile, resize_mask(truth, HEIGHT, WIDTH))
        if "numbered" not in lay_out.__name__ and "of_drives" not in lay_out.__name__:
            assert entry["split"] == scene.split
    assert not expected


def test_a_change_of_level_needs_no_new_import(tree: Path, tmp_path: Path, labelled: list[Scene]) -> None:
    idd_20k_polygons(tmp_path / "source", labelled[:2])
    install.install(tree, tmp_path / "source", ClassTable.find("idd-level1"))
    params = scan.ScanParams(**yaml.safe_load(Path("params.yaml").read_text())["scan"])
    for table in ("idd-level3", "idd-level2", "road"):
        classes = ClassTable.find(table)
        classes.write(Path("data/classes.yaml"))
        scan.run(scan=params)
        for row, scene in zip(read_manifest(Path("data/scan.parquet"), "scan").records(), labelled[:2], strict=True):
            counts = [0] * (classes.count + 1)
            for number, label in enumerate(LABELS):
                counts[classes.id_of_label[label]] += int((scene.ids == number).sum())
            counts[-1] = int((scene.ids == 255).sum())
            assert row["class_pixels"] == counts


def test_an_unknown_label_is_the_error_of_its_sample_alone(
    tree: Path, tmp_path: Path, labelled: list[Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    idd_20k_polygons(tmp_path / "source", labelled[:2])
    broken = sorted((tmp_path / "source").rglob("*_polygons.json"))[0]
    broken.write_text(broken.read_text().replace('"building"', '"dragon"'))
    install.install(tree, tmp_path / "source", ClassTable.find("idd-level1"))
    scan.run(scan=scan.ScanParams(**yaml.safe_load(Path("params.yaml").read_text())["scan"]))
    first, second = read_manifest(Path("data/scan.parquet"), "scan").records()
    assert first["error"].startswith(f"{broken.relative_to(tmp_path / 'source')}: holds label 'dragon', which no class")
    assert second["error"] is None

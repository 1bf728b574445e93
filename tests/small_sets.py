"""Small data sets as people have them, and what comes of one: import, scan and validate in the current folder."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from judging import MANIFEST
from PIL import Image
from trees import ROOT, scan_params, touch

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import read_manifest
from roadseg.intake.install import install
from roadseg.scan import stage as scan
from roadseg.scan.layouts.known import look
from roadseg.scan.splits import Shares, assign_splits
from roadseg.validate import stage as validate

WIDTH, HEIGHT, CELL = 64, 48, 8
QUARTER, LEVEL = (0, 0, 0, 1), (0, 3, 6, 2, 5, 1, 4)  # ids of a mask, each as often as it is listed


@dataclass(frozen=True)
class Accepted:
    """What validate let through: splits and drives of samples by name, and the masks' class pixels added up."""

    layout: str
    split_of: dict[str, str]
    drive_of: dict[str, str | None]
    pairs: dict[str | None, str | None]
    pixels: list[int]

    def splits(self) -> dict[str, int]:
        return {split: list(self.split_of.values()).count(split) for split in sorted(set(self.split_of.values()))}


def scene(seed: int) -> np.ndarray:
    """A picture of coarse blobs under noise: sharp enough, and no two alike."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(30, 226, (6, 8, 3), dtype=np.uint8))
    blobs = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(blobs + random.integers(-25, 26, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)


def cells(seed: int, ids: tuple[int, ...] = QUARTER) -> np.ndarray:
    """A mask: cells of ids in another order for each seed."""
    shape = (HEIGHT // CELL, WIDTH // CELL)
    order = np.random.default_rng(seed + 1000).permutation(np.resize(np.array(ids, np.uint8), shape[0] * shape[1]))
    return np.kron(order.reshape(shape), np.ones((CELL, CELL), np.uint8))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def pairs(
    root: Path,
    image: str,
    mask: str,
    numbers: Iterable[int] = range(12),
    ids: tuple[int, ...] = QUARTER,
    seed: int = 0,
) -> None:
    """Images and masks whose names have {} for the number; an empty name leaves one kind out."""
    for number in numbers:
        if image:
            save(root / image.format(number), scene(seed + number))
        if mask:
            save(root / mask.format(number), cells(seed + number, ids))


def named(root: Path, image: str, mask: str, numbers: Iterable[int] = range(12)) -> None:
    """The names of `pairs` alone, as empty files: enough to lay out and split."""
    touch(root, *(name.format(number) for number in numbers for name in (image, mask) if name))


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def make_tree(tree: Path) -> Path:
    """A folder with the project's parameters in which an import works."""
    (tree / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tree / name)
    return tree


def bring_in(source: Path, table: str | None = "road", **given: str) -> Accepted:
    """Import into the current folder, scan and validate; errors are those of the commands."""
    layout = install(Path.cwd(), source, ClassTable.find(table) if table else None, **given)
    judge()
    rows = read_manifest(MANIFEST).records()
    pixels = [row["class_pixels"] for row in rows if row["class_pixels"]]
    return Accepted(
        layout,
        {row["sample"].removeprefix(f"{row['split']}/"): row["split"] for row in rows},
        {row["sample"].removeprefix(f"{row['split']}/"): row["drive"] for row in rows},
        {row["image"]: row["mask"] for row in rows},
        np.sum(pixels, axis=0).tolist(),
    )


def found_in(root: Path, images: str = "", masks: str = "", **told: object) -> Accepted:
    """What scan finds by names alone."""
    params = scan_params(images=images, masks=masks, **told)
    layout, found = look(root, params.layout, images, masks)
    placed = assign_splits(found, root, params.split, Shares(params.val_share, params.test_share, params.seed))
    samples = {one.sample.removeprefix(f"{one.split}/"): one for one in placed}
    assert len(samples) == len(placed)
    return Accepted(
        layout,
        {name: str(one.split) for name, one in samples.items()},
        {name: one.drive for name, one in samples.items()},
        {one.image: one.mask for one in placed},
        [],
    )


def by_number(found: Accepted) -> dict[str, list[int]]:
    """Numbers of samples by split."""
    numbers: dict[str, list[int]] = {}
    for name, split in found.split_of.items():
        numbers.setdefault(split, []).append(int("".join(letter for letter in name if letter.isdigit())))
    return {split: sorted(listed) for split, listed in numbers.items()}


def judge() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    scan.run(scan=scan.ScanParams(**params["scan"]))
    validate.run(validate=validate.ValidateParams(**params["validate"]))


def reasons() -> list[str]:
    """Expectations that refused the data, as the verdict has them."""
    verdict = json.loads(Path("reports/verdict.json").read_text())
    return [each["name"] for each in verdict["expectations"] if not each["passed"] and each["severity"] == "critical"]

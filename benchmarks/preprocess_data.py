"""The files that `benchmarks.preprocess` works on."""

import os
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from roadseg.contracts.files import digest_file
from roadseg.intake.synthetic import generate

Row = dict[str, Any]
FULL_HD = (1920, 1080)


def unpack(folder: Path) -> Path:
    """IDD Lite from the archive that ROADSEG_IDD_LITE names, else generated scenes in the same layout."""
    if archive := os.environ.get("ROADSEG_IDD_LITE"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
        return next(folder.rglob("leftImg8bit")).parent
    generate(folder, train=480, val=80, test=80, seed=0)
    return folder


def find_rows(raw: Path) -> list[Row]:
    """Manifest rows of every image below `leftImg8bit`."""
    rows = []
    for path in sorted(raw.glob("leftImg8bit/*/*/*_image.jpg")):
        split, drive = path.parts[-3:-1]
        mask = raw / "gtFine" / split / drive / path.name.replace("_image.jpg", "_label.png")
        rows.append(_row(raw, path, mask if mask.exists() else None, split, drive))
    return rows


def enlarge(raw: Path, rows: list[Row], folder: Path) -> list[Row]:
    """The same pictures at 1920x1080, JPEG quality 90, masks with nearest neighbour."""
    large = []
    for row in rows:
        for key, method in (("image", Image.Resampling.BICUBIC), ("mask", Image.Resampling.NEAREST)):
            target = folder / row[key]
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(raw / row[key]) as picture:
                picture.resize(FULL_HD, method).save(target, quality=90)  # PNG knows no quality
        large.append(_row(folder, folder / row["image"], folder / row["mask"], row["split"], row["drive"]))
    return large


def _row(raw: Path, image: Path, mask: Path | None, split: str, drive: str) -> Row:
    with Image.open(image) as picture:
        width, height = picture.size
    return {
        "sample": f"{split}/{drive}/{image.stem}",
        "split": split,
        "drive": drive,
        "image": image.relative_to(raw).as_posix(),
        "mask": mask.relative_to(raw).as_posix() if mask else None,
        "image_sha": digest_file(image),
        "mask_sha": digest_file(mask) if mask else None,
        "height": height,
        "width": width,
    }

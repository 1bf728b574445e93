"""The samples that benchmarks work on: IDD Lite where `ROADSEG_IDD_LITE` names it, else generated scenes."""

import os
from pathlib import Path
from typing import Any

from PIL import Image

from roadseg.contracts.files import digest_file
from roadseg.intake import archive
from roadseg.scan.layouts import idd_lite
from roadseg.synthetic.dataset import generate

Row = dict[str, Any]
FULL_HD = (1920, 1080)


def unpack(folder: Path) -> Path:
    """A data set in the layout of IDD Lite, below `folder`, which must not exist."""
    if packed := os.environ.get("ROADSEG_IDD_LITE"):
        return archive.unpack(Path(packed), folder)
    generate(folder, train=480, val=80, test=80, seed=0)
    return folder


def find_rows(raw: Path) -> list[Row]:
    """Manifest rows of every image, as far as preprocess needs them."""
    return [_row(raw, found.image, found.mask, found.split, found.drive) for found in idd_lite.find(raw) if found.image]


def enlarge(raw: Path, rows: list[Row], folder: Path) -> list[Row]:
    """The same pictures at 1920x1080, JPEG quality 90, masks with nearest neighbour."""
    large = []
    for row in rows:
        for key, method in (("image", Image.Resampling.BICUBIC), ("mask", Image.Resampling.NEAREST)):
            target = folder / row[key]
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(raw / row[key]) as picture:
                picture.resize(FULL_HD, method).save(target, quality=90)  # PNG knows no quality
        large.append(_row(folder, row["image"], row["mask"], row["split"], row["drive"]))
    return large


def _row(raw: Path, image: str, mask: str | None, split: str | None, drive: str | None) -> Row:
    with Image.open(raw / image) as picture:
        width, height = picture.size
    return {
        "sample": f"{split}/{drive}/{Path(image).stem}",
        "split": split,
        "drive": drive,
        "image": image,
        "mask": mask,
        "image_sha": digest_file(raw / image),
        "mask_sha": digest_file(raw / mask) if mask else None,
        "height": height,
        "width": width,
    }

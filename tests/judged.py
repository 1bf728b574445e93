"""Trees as scan and validate leave them, made by hand so that every number is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import write_json
from roadseg.contracts.manifest import from_rows, write_manifest

HOSTILE = "<img src=http:evil.example onerror=alert(1)> \"'&amp; {{ 7*7 }}"


def sample_row(split: str, drive: str, name: str, **facts: Any) -> dict[str, Any]:
    """A row of a scan whose files are called as the sample."""
    sample = f"{split}/{drive}/{name}"
    files = {"image": f"{sample}.jpg", "mask": None if split == "test" else f"{sample}.png"}
    measured = {"height": 32, "width": 64, "brightness": 0.4, "contrast": 0.2, "sharpness": 90.0, "image_sha": sample}
    pixels = None if split == "test" else [1000, 500, 0, 300, 0, 200, 0, 48]
    return {"sample": sample, "split": split, "drive": drive, **files, **measured, "class_pixels": pixels, **facts}


def write_files(root: Path, row: dict[str, Any]) -> None:
    (root / row["image"]).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 32), (90, 120, 150)).save(root / row["image"])
    if row["mask"]:
        Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8) % 7, 256).reshape(32, 64)).save(root / row["mask"])


def write_tree(
    tree: Path, rows: list[dict[str, Any]], expectations: list[dict[str, Any]], flagged: list[dict[str, Any]]
) -> Path:
    """Write the files that a page is made from."""
    scan = from_rows(rows, "idd-lite", ClassTable.find("idd-level1"))
    write_manifest(tree / "data/scan.parquet", "scan", scan)
    passed = all(each["passed"] or each["severity"] != "critical" for each in expectations)
    write_json(tree / "reports/verdict.json", "verdict", {"passed": passed, "expectations": expectations})
    columns = pa.schema({name: pa.string() for name in ("sample", "expectation", "severity", "reason")})
    pq.write_table(pa.Table.from_pylist(flagged, columns), tree / "reports/flagged.parquet")
    (tree / "data/quarantine.csv").write_text("sample,image_sha,reason\n")
    (tree / "data/reference.json").write_text("{}\n")
    return tree


def expectation(name: str, severity: str, failing: int, samples: int) -> dict[str, Any]:
    observed = f"{failing} of {samples} samples"
    return {"name": name, "severity": severity, "passed": not failing, "observed": observed, "failing": failing}


ROWS = [
    *(sample_row("train", "a", f"{number:02}") for number in range(20)),
    sample_row("train", "b", HOSTILE),
    *(sample_row("val", "c", f"{number:02}", brightness=0.7) for number in range(6)),
    sample_row("test", "d", "0"),
]


def accepted_tree(tree: Path) -> Path:
    """28 samples, nothing flagged."""
    holds = [expectation("files_decode", "critical", 0, 28), expectation("brightness", "warning", 0, 28)]
    return write_tree(tree, ROWS, holds, [])


def refused_tree(tree: Path) -> Path:
    """A truncated image, a missing mask, a hostile name, 15 warnings, a fault of the data as a whole, a quarantine."""
    for row in ROWS:
        write_files(tree / "data/raw", row)
    broken = tree / "data/raw" / ROWS[0]["image"]
    broken.write_bytes(broken.read_bytes()[:300])
    rows = [ROWS[0] | {"error": "broken"}, ROWS[1] | {"mask": None}, *ROWS[2:]]
    flagged = [("files_decode", "critical", rows[0], "cut"), ("files_decode", "critical", rows[20], HOSTILE)]
    flagged += [("mask_present", "critical", rows[1], "its mask is missing")]
    flagged += [("brightness", "warning", row, f"{row['image']}: dark") for row in rows[:15]]
    expectations = [
        expectation("brightness", "warning", 15, 27),
        expectation("void_share", "warning", 0, 27),
        expectation("files_decode", "critical", 2, 27),
        expectation("mask_present", "critical", 1, 27),
        {"name": "splits_there", "severity": "critical", "passed": False, "observed": "only train", "failing": 1},
    ]
    names = ("expectation", "severity", "sample", "reason")
    listed = [
        dict(zip(names, (name, severity, row["sample"], why), strict=True)) for name, severity, row, why in flagged
    ]
    whole = {
        "expectation": "splits_there",
        "severity": "critical",
        "sample": None,
        "reason": "split val is <b>empty</b>",
    }
    write_tree(tree, rows, expectations, [*listed, whole])
    (tree / "data/quarantine.csv").write_text(
        f'sample,image_sha,reason\n{rows[26]["sample"]},,rain on the lens\ntrain/gone/0,,"no longer, <b>there</b>"\n'
    )
    shares = {"train": {"drivable": 0.4, "non-drivable": 0.25}}
    write_json(tree / "data/reference.json", "reference", {"classes": "idd-level1", "shares": shares})
    return tree

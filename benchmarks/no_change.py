"""Scan, validate and `dvc repro preprocess` over many samples: the first run, and the second in which nothing changed.

The samples are IDD Lite (`ROADSEG_IDD_LITE`), else generated scenes, copied until there are enough, each copy with
bytes and a drive of its own. The second runs say what a schedule costs on a night without new data.
Example: `python -m benchmarks.no_change 20000`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import count, cycle, islice
from pathlib import Path

from benchmarks.machine import machine
from roadseg.intake.archive import unpack
from roadseg.intake.synthetic import generate

ROOT = Path(__file__).parent.parent
NO_COPIES = "  near_duplicate: -1\n"  # the copies look alike


def sources(folder: Path) -> list[tuple[str, Path, Path | None]]:
    """Split, image and mask of every sample there is."""
    if archive := os.environ.get("ROADSEG_IDD_LITE"):
        root = unpack(Path(archive), folder)
    else:
        generate(folder, train=128, val=32, test=8, seed=0, progress=lambda: None)
        root = folder
    images = sorted((root / "leftImg8bit").glob("*/*/*"))
    masks = [Path(str(path).replace("leftImg8bit", "gtFine").replace("_image.jpg", "_label.png")) for path in images]
    return [
        (image.parts[-3], image, mask if mask.exists() else None) for image, mask in zip(images, masks, strict=True)
    ]


def multiply(found: list[tuple[str, Path, Path | None]], raw: Path, samples: int) -> None:
    """Write `samples` samples in the layout of IDD Lite, ten to a drive."""
    drives: dict[str, count[int]] = {}
    for number, (split, image, mask) in enumerate(islice(cycle(found), samples)):
        place = drives.setdefault(split, count())
        name = f"{split}/{split}{next(place) // 10}/{number:06d}"
        for source, target in ((image, f"leftImg8bit/{name}_image.jpg"), (mask, f"gtFine/{name}_label.png")):
            if source:
                (raw / target).parent.mkdir(parents=True, exist_ok=True)
                (raw / target).write_bytes(source.read_bytes() + number.to_bytes(4))


def seconds(tree: Path, *command: str) -> float:
    """Run a command in the checkout."""
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": "src", "ROADSEG_HOME": str(tree / ".roadseg"), "DVC_NO_ANALYTICS": "1"}
    subprocess.run(command, cwd=tree, check=True, env=environment, stdout=sys.stderr)
    return round(time.monotonic() - start, 1)


def main() -> None:
    """Measure; prints one JSON object."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
        params = (tree / "params.yaml").read_text()
        (tree / "params.yaml").write_text(params.replace("  near_duplicate: 4\n", NO_COPIES))
        multiply(sources(Path(folder) / "source"), tree / "data/raw", samples)
        (tree / "data/classes.yaml").write_text((ROOT / "src/roadseg/contracts/tables/idd-level1.yaml").read_text())
        (tree / "data/quarantine.csv").write_text("sample,image_sha,reason\n")
        (tree / "data/reference.json").write_text("{}\n")
        figures = {"dvc_add_s": seconds(tree, "dvc", "add", "-q", "data/raw")}
        for stage in ("scan", "validate"):
            figures[f"{stage}_first_s"] = seconds(tree, "python", "-m", "roadseg", stage)
            figures[f"{stage}_second_s"] = seconds(tree, "python", "-m", "roadseg", stage)
        figures["repro_first_s"] = seconds(tree, "dvc", "repro", "-q", "preprocess")
        figures["repro_second_s"] = seconds(tree, "dvc", "repro", "-q", "preprocess")
    print(json.dumps({"samples": samples, **figures, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    main()

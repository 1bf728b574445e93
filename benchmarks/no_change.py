"""Scan, validate and `dvc repro preprocess` over many samples: the first run, and the second in which nothing changed.

The samples are IDD Lite (`ROADSEG_IDD_LITE`), else generated scenes, copied within their split until there are enough,
each copy with bytes of its own, ten to a drive. The second runs say what a schedule costs on a night without new data.
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
from benchmarks.samples import unpack
from roadseg.scan.layouts import idd_lite

ROOT = Path(__file__).parent.parent


def multiply(source: Path, raw: Path, samples: int) -> None:
    """Write `samples` samples in the layout of IDD Lite, ten to a drive, from those of a data set in that layout."""
    drives: dict[str | None, count[int]] = {}
    for number, found in enumerate(islice(cycle(idd_lite.find(source)), samples)):
        place = drives.setdefault(found.split, count())
        name = f"{found.split}/{found.split}{next(place) // 10}/{number:06d}"
        for path, target in ((found.image, f"leftImg8bit/{name}_image.jpg"), (found.mask, f"gtFine/{name}_label.png")):
            if path:
                (raw / target).parent.mkdir(parents=True, exist_ok=True)
                (raw / target).write_bytes((source / path).read_bytes() + number.to_bytes(4))


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
        multiply(unpack(Path(folder) / "source"), tree / "data/raw", samples)
        (tree / "data/classes.yaml").write_text((ROOT / "src/roadseg/contracts/tables/idd-level1.yaml").read_text())
        (tree / "data/quarantine.csv").write_text("sample,image_sha,reason\n")
        (tree / "data/reference.json").write_text("{}\n")
        (tree / "data/splits.csv").write_text("drive,split,dataset,batch\n")
        figures = {"dvc_add_s": seconds(tree, "dvc", "add", "-q", "data/raw")}
        for stage in ("scan", "validate"):
            figures[f"{stage}_first_s"] = seconds(tree, "python", "-m", "roadseg", stage)
            figures[f"{stage}_second_s"] = seconds(tree, "python", "-m", "roadseg", stage)
        figures["repro_first_s"] = seconds(tree, "dvc", "repro", "-q", "preprocess")
        figures["repro_second_s"] = seconds(tree, "dvc", "repro", "-q", "preprocess")
    print(json.dumps({"samples": samples, **figures, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    main()

"""Scan and a run without a change over many small files, validate and the gate over many made rows, with peak memory.

It is resumable: figures stand in FOLDER/scale.json as soon as they are known, and files that are there are not written
again. Files are tiny (48x64, about 1 KB a pair), since names and digests are what grows with their number, not pixels.
Example: `python -m benchmarks.scale FOLDER 1000000 --rows 1000000`; without --rows as many as there are files
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from benchmarks.machine import machine
from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import BINS, Counts, Evaluation
from roadseg.contracts.files import digest_of
from roadseg.contracts.manifest import Manifest, read_manifest, write_manifest
from roadseg.contracts.splits import write_splits
from roadseg.gate.decide import decide
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy

ROOT = Path(__file__).parent.parent
HEIGHT, WIDTH, DRIVE, FOLDER = 48, 64, 20, 1000  # pixels; frames of a drive; drives of a folder that one loop makes
TABLE = "idd-level1"
SEED_FILES = 2000  # real rows that made rows repeat


class Figures:
    """What is known so far, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, name: str, work: Callable[[], dict[str, Any]]) -> None:
        """Do work once, whatever was killed since."""
        if name not in self.known:
            print(f"{name} ...", file=sys.stderr, flush=True)
            self.known[name] = work()
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(json.dumps(self.known, indent=1))
            temporary.replace(self.path)


def make_tree(folder: Path) -> Path:
    """A checkout with the files that an import would leave, without data."""
    tree = folder / "tree"
    if not (tree / "data/classes.yaml").exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
        (tree / "data").mkdir(exist_ok=True)
        (tree / "data/quarantine.csv").write_text("sample,image_sha,reason\n")
        (tree / "data/reference.json").write_text("{}\n")
        write_splits(tree / paths.SPLITS, [])
        (tree / "data/classes.yaml").write_text((ROOT / f"src/roadseg/contracts/tables/{TABLE}.yaml").read_text())
        change_policy(tree)
    return tree


def change_policy(tree: Path) -> None:
    """Tiny noise is no street: let it pass what looks at pixels, and keep what looks at names, splits and digests."""
    path = tree / paths.PARAMS
    params = yaml.safe_load(path.read_text())
    params["validate"] |= {"near_duplicate": 0, "interpolation_max": 1.0}
    path.write_text(yaml.safe_dump(params))


def write_files(raw: Path, samples: int) -> None:
    """Write pairs in IDD Lite's layout, `DRIVE` to a drive, every tenth drive for val; each has bytes of its own."""
    rng = np.random.default_rng(0)
    mask = np.repeat(np.arange(HEIGHT, dtype=np.uint8) * 7 // HEIGHT, WIDTH).reshape(HEIGHT, WIDTH)
    for first in range(0, samples, DRIVE):
        drive = first // DRIVE
        split = "val" if drive % 10 == 9 else "train"
        folder = raw / f"leftImg8bit/{split}/{drive}"
        if folder.exists() and len(list(folder.iterdir())) == min(DRIVE, samples - first):
            continue
        labels = raw / f"gtFine/{split}/{drive}"
        for each in (folder, labels):
            each.mkdir(parents=True, exist_ok=True)
        pixels = _packed(rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1), "JPEG")
        for number in range(first, min(first + DRIVE, samples)):
            tail = number.to_bytes(8)  # behind the end of the picture: no decoder reads it, every digest does
            (labels / f"{number:08}_label.png").write_bytes(_packed(mask, "PNG") + tail)
            (folder / f"{number:08}_image.jpg").write_bytes(pixels + tail)


def _packed(pixels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def timed(tree: Path, *command: str) -> dict[str, Any]:
    """Run a command in the checkout: seconds, CPU seconds, peak memory of its largest process.

    Raises:
        SystemExit: it failed; with what it said.
    """
    environment = {**os.environ, "PYTHONPATH": "src", "ROADSEG_HOME": str(tree / ".roadseg"), "ROADSEG_PAGES": "off"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = "import resource, subprocess, sys; end = subprocess.run(sys.argv[1:]).returncode; "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(end)"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=tree, env=environment, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = int(done.stdout.split()[-1]) // 1024
    if done.returncode:
        raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return {"seconds": round(time.monotonic() - start, 1), "cpu": round(cpu, 1), "peak_mb": peak}


def make_rows(tree: Path, samples: int) -> Manifest:
    """Rows as scan writes them, those of the files repeated under names, drives and digests of their own."""
    real = read_manifest(tree / paths.SCAN, "scan")
    rows = real.rows.take(pa.array(np.arange(samples) % min(len(real.rows), SEED_FILES)))
    numbers = np.arange(samples)
    splits = np.where(numbers // DRIVE % 10 == 9, "val", "train")
    names = [f"{split}/{number // DRIVE}/{number:08}" for split, number in zip(splits, numbers, strict=True)]
    changed = {
        "sample": names,
        "image": [f"leftImg8bit/{name}_image.jpg" for name in names],
        "mask": [f"gtFine/{name}_label.png" for name in names],
        "drive": [str(number // DRIVE) for number in numbers],
        "split": splits.tolist(),
        "image_sha": [digest_of(int(number)) for number in numbers],
        "mask_sha": [digest_of(-int(number) - 1) for number in numbers],
    }
    for name, values in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))
    return Manifest(rows, real.layout, real.classes)


def validate_rows(tree: Path, samples: int) -> dict[str, Any]:
    """Validate rows that no scan has made."""
    write_manifest(tree / paths.SCAN, "scan", make_rows(tree, samples))
    return timed(tree, sys.executable, "-m", "roadseg", "validate")


def gate_rows(samples: int) -> dict[str, Any]:
    """Let the gate decide between two models on so many val images, in this process."""
    classes, rng = ClassTable.find(TABLE), np.random.default_rng(0)
    start, cpu = time.monotonic(), time.process_time()
    pair = [Evidence(number, _answers(classes, rng, samples), {}) for number in (1, 2)]
    made, made_cpu = time.monotonic(), time.process_time()
    policy = Policy(**yaml.safe_load((ROOT / paths.PARAMS).read_text())["promote"])
    outcome = decide(pair[1], pair[0], policy).outcome
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"seconds": round(time.monotonic() - made, 1), "cpu": round(time.process_time() - made_cpu, 1)}
    return found | {
        "peak_mb": peak,
        "outcome": outcome,
        "to_make_s": round(made - start, 1),
        "cpu_before": round(cpu, 1),
    }


def _answers(classes: ClassTable, rng: np.random.Generator, samples: int) -> Evaluation:
    count = classes.count
    confusion = rng.integers(0, 40, (samples, count, count + 1), np.uint32)
    confusion[:, np.arange(count), np.arange(count)] += 900
    truth = confusion.sum(-1, keepdims=True)
    confusion[..., -1:] += 2000 - truth.astype(np.uint32)  # both models meet the same true pixels
    boundary, reliability = np.zeros((samples, count, 4), np.uint32), np.zeros((samples, BINS, 3), np.int64)
    names = [f"val/{number // DRIVE}/{number:08}" for number in range(samples)]
    columns: dict[str, Any] = {"sample": names, "drive": [str(number // DRIVE) for number in range(samples)]}
    columns |= {name: np.full(samples, 0.5) for name in ("brightness", "sharpness", "miou")}
    counts = Counts(confusion, boundary, reliability, classes)
    return Evaluation(pa.table(columns), counts, weights="0" * 64, val_manifest="1" * 64, settings={})


def main() -> None:
    """Measure; prints one JSON object."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path, help="where files and figures are kept; on the disk to be measured")
    words.add_argument("samples", type=int, nargs="?", default=20_000, help="pairs of files")
    words.add_argument("--rows", type=int, help="rows for validate, and val images for the gate")
    told = words.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    figures, rows, tree = Figures(told.folder / "scale.json"), told.rows or told.samples, make_tree(told.folder)
    stage, dvc = [sys.executable, "-m", "roadseg"], [sys.executable, "-m", "dvc"]
    write_files(tree / paths.RAW, told.samples)
    figures.measure("dvc_add", lambda: timed(tree, *dvc, "add", "-q", str(paths.RAW)))
    for turn in ("first", "second"):
        figures.measure(f"scan_{turn}", lambda: timed(tree, *stage, "scan"))
        figures.measure(f"validate_{turn}", lambda: timed(tree, *stage, "validate"))
    figures.measure("repro_first", lambda: timed(tree, *dvc, "repro", "-q", "validate"))
    figures.measure("repro_second", lambda: timed(tree, *dvc, "repro", "-q", "validate"))
    figures.measure("status", lambda: timed(tree, *dvc, "status", "-q", "--with-deps", "validate"))
    figures.measure("gate_rows", lambda: gate_rows(rows))
    figures.measure("validate_rows", lambda: validate_rows(tree, rows))
    about = {"samples": told.samples, "rows": rows, "date": time.strftime("%Y-%m-%d"), **machine()}
    print(json.dumps(figures.known | about, indent=1))


if __name__ == "__main__":
    main()

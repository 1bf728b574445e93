"""Preprocess against the tutorial's loop on the same files, and against decoding alone, interleaved in one run.

Reads the archive that ROADSEG_IDD_LITE names, else generated scenes. Ratios are the median of the rounds.
Example: `python -m benchmarks.preprocess`
"""

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.machine import machine
from benchmarks.samples import enlarge, find_rows, unpack
from benchmarks.whole_run import tree_memory
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import MARGIN, decode_picture
from roadseg.machine.workers import pool
from roadseg.preprocess.stage import PreprocessParams, run

Row = dict[str, Any]
CLASSES = ClassTable.find("idd-level1")
ROUNDS = 3
FRAMES = 1400  # a data set of full HD frames has thousands; with few the start of the workers would be measured
STAGE = """
from roadseg.preprocess.stage import PreprocessParams, run
run(preprocess=PreprocessParams(height=128, width=128, aspect="stretch", tile=0))
"""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tutorial(raw: Path, rows: list[Row], height: int, width: int) -> list[np.ndarray]:
    """The usual loop: open, resize with the default filter, float32, all images and all masks in one array each."""
    images = np.zeros((len(rows), height, width, 3), np.float32)
    masks = np.zeros((len(rows), height, width, 1), np.float32)
    for number, row in enumerate(rows):
        images[number] = np.asarray(Image.open(raw / row["image"]).resize((width, height)), np.float32) / 255
        if row["mask"]:
            mask = Image.open(raw / row["mask"]).resize((width, height)).convert("L")
            masks[number, :, :, 0] = np.asarray(mask, np.float32)
    return [images, masks]


def decode(task: tuple[Path, list[Row], tuple[int, int]]) -> None:
    """Only decode: masks in full, images no smaller than is needed for a size as exact as the stage gives it."""
    raw, rows, (height, width) = task
    for row in rows:
        enough = math.ceil(MARGIN * height), math.ceil(MARGIN * width)
        np.asarray(decode_picture((raw / row["image"]).read_bytes(), enough))
        if row["mask"]:
            read_classes(raw / row["mask"], CLASSES)


def decoding(raw: Path, rows: list[Row], height: int, width: int) -> float:
    """Time in which all cores do nothing but decode."""
    with pool() as workers:
        list(workers.map(abs, range(8)))  # they have started
        parts = [(raw, rows[start : start + 8], (height, width)) for start in range(0, len(rows), 8)]
        return seconds(lambda: list(workers.map(decode, parts)))


def preprocess(tree: Path, home: Path, raw: Path, rows: list[Row], height: int = 128, width: int = 128) -> float:
    """Time of the stage, beyond process start."""
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", CLASSES))
    if not (tree / "data/raw").exists():
        (tree / "data/raw").symlink_to(raw)
    os.environ["ROADSEG_HOME"] = str(home)
    params = PreprocessParams(height=height, width=width, aspect="stretch", tile=0)
    with chdir(tree), Path(os.devnull).open("w") as quiet, redirect_stdout(quiet), redirect_stderr(quiet):
        return seconds(lambda: run(preprocess=params))


def ratios(folder: Path, raw: Path, rows: list[Row], height: int, width: int) -> tuple[float, float]:
    """How many times as fast as the tutorial, and the share of decoding's speed; medians of the rounds."""
    faster, share = [], []
    for number in range(ROUNDS):
        place = folder / f"{raw.name}-{height}-{width}-{len(rows)}-{number}"
        usual, alone = seconds(lambda: tutorial(raw, rows, height, width)), decoding(raw, rows, height, width)
        ours = preprocess(place, place / "home", raw, rows, height, width)
        faster.append(usual / ours)
        share.append(alone / ours)
    return round(statistics.median(faster), 2), round(statistics.median(share), 2)


def one_new_drive(folder: Path, raw: Path, rows: list[Row]) -> dict[str, object]:
    """What it costs to add a drive of 1 % of the images, in the same tree and in a fresh checkout."""
    count = max(1, len(rows) // 100)
    rows = [row | {"drive": f"new-{number // count}"} if number < 2 * count else row for number, row in enumerate(rows)]
    same, fresh, home = folder / "same", folder / "fresh", folder / "new-drive-home"
    whole = preprocess(same, home, raw, rows[2 * count :])
    before = _digests(same)
    added = preprocess(same, home, raw, rows[count:])
    written = _digests(same).items() - before.items()
    elsewhere = preprocess(fresh, home, raw, rows)
    return {
        "share_same_tree": round(added / whole, 3),
        "share_fresh_checkout": round(elsewhere / whole, 3),
        "full_seconds": round(whole, 2),
        "new_shards": sorted(name for name, _ in written),
        "new_shards_in_fresh_checkout": len(_digests(fresh).items() - _digests(same).items()),
    }


def _digests(tree: Path) -> dict[str, str]:
    files: dict[str, str] = json.loads((tree / "data/shards/shards.json").read_text())["files"]
    return files


def growth(folder: Path, raw: Path, rows: list[Row], times: int) -> dict[str, float]:
    """Seconds and peak PSS of the stage's whole process tree on the same files, `times` over in other drives."""
    many = []
    for copy in range(times):
        mixed = random.Random(copy).sample(rows, len(rows))  # drives of equal content would be decoded once
        mixed.sort(key=lambda row: row["split"])
        many += [
            row | {"sample": f"{row['sample']}-{copy}", "drive": f"{number // 5}-{copy}"}
            for number, row in enumerate(mixed)
        ]
    tree = folder / f"times-{times}"
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(many, "idd-lite", CLASSES))
    (tree / "data/raw").symlink_to(raw)
    env = {**os.environ, "ROADSEG_HOME": str(tree / "home")}
    start, peak = time.perf_counter(), 0
    stage = subprocess.Popen([sys.executable, "-c", STAGE], cwd=tree, env=env, stdout=subprocess.DEVNULL)
    root = psutil.Process(stage.pid)
    while stage.poll() is None:
        peak = max(peak, tree_memory(root))
        time.sleep(0.1)
    if stage.returncode:
        raise SystemExit(stage.returncode)
    return {"samples": len(many), "seconds": round(time.perf_counter() - start, 1), "peak_pss_mb": round(peak / 1e6)}


def main() -> None:
    """Measure and print one JSON object."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        raw = unpack(folder / "raw")
        rows = find_rows(raw)
        large = enlarge(raw, [row for row in rows if row["mask"]][:FRAMES], folder / "full-hd")
        frames = [row | {"mask": None, "mask_sha": None} for row in large]
        found = {
            "idd_lite": ratios(folder, raw, rows, 128, 128),
            "full_hd_512": ratios(folder, folder / "full-hd", frames, 288, 512),
            "full_hd_128": ratios(folder, folder / "full-hd", frames, 128, 128),
            "full_hd_512_pairs": ratios(folder, folder / "full-hd", large, 288, 512),
        }
        figures = {
            **{f"{name}_ratio": ratio for name, (ratio, _) in found.items()},
            "limit_share": found["idd_lite"][1],
            **{f"{name}_limit_share": share for name, (_, share) in found.items() if name != "idd_lite"},
            "one_new_drive": one_new_drive(folder, raw, rows),
            "growth": [growth(folder, raw, rows, times) for times in (1, 4, 16)],
            "date": time.strftime("%Y-%m-%d"),
            "load_before": round(os.getloadavg()[0], 1),
            **machine(),
        }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

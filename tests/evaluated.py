"""A tree in which evaluate has run, made by hand so that it is known where the model is wrong."""

from contextlib import chdir
from pathlib import Path

import numpy as np
from bundles import painter
from judged import HOSTILE
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.evaluate.stage import EvaluateParams, run

NAMES = [*((drive, name) for drive in "abc" for name in "01")][:-1] + [("b", HOSTILE)]
SAMPLES = [f"val/{drive}/{name}" for drive, name in NAMES]
WRONG = {"val/a/0": 3, "val/b/1": 24, f"val/b/{HOSTILE}": 48}  # image columns, of 64, that are painted as another class


def evaluated_tree(tree: Path, mistaken: dict[str, int] = WRONG, flip: bool = False) -> Path:
    """Six images of three drives; a model paints each class in its colour, and some columns lie."""
    classes = ClassTable.find("idd-level1")
    rows = []
    for number, (sample, (drive, _)) in enumerate(zip(SAMPLES, NAMES, strict=True)):
        raw = tree / "data/raw"
        mask = np.repeat(np.arange(64, dtype=np.uint8) // 10, 32).reshape(64, 32).T.copy()
        mask[:2] = 255
        painted = mask.copy()
        painted[:, : mistaken.get(sample, 0)] = 6
        for file, pixels in ((f"{number}.png", classes.palette[painted]), (f"{number}_label.png", mask)):
            raw.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(raw / file)
        facts = {"height": 32, "width": 64, "brightness": number / 10, "sharpness": 50.0 + number, "image_sha": sample}
        files = {"image": f"{number}.png", "mask": f"{number}_label.png"}
        rows.append({"sample": sample, "split": "val", "drive": drive, **files, **facts})
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(rows, "folders", classes))
    card = {"fingerprint": "f" * 64, "model": "painter", "params": {"epochs": 3}, "aspect": "stretch", "tile": 0}
    painter(tree / "models/bundle", classes, **card)
    (tree / "reports").mkdir(exist_ok=True)
    (tree / "reports/history.csv").write_text("epoch,loss,miou\n1,2.0,0.25\n2,1.0,0.5\n3,0.5,0.75\n")
    with chdir(tree):
        run(
            evaluate=EvaluateParams(
                batch=4, flip=flip, scales=[1.0], overlap=0.0, precision="float32", resamples=200, seed=0
            )
        )
    return tree

"""What scoring adds to predicting: all of evaluate's loop over 226 images against the bare masks of the same images.

Also the peak memory of the stage at 226 images and at 4 and 16 times as many, each in a process of its own. The model
is the default one with random weights, on which its speed does not depend.

Example: `python -m benchmarks.evaluation 226`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.samples import Row, find_rows
from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.evaluate.scores import evaluated
from roadseg.evaluate.stage import EvaluateParams, counted, images, run
from roadseg.evaluate.write import write_scores
from roadseg.synthetic.dataset import generate

ROUNDS, TIMES = 5, (1, 4, 16)
SETTINGS: dict[str, Any] = {"batch": "auto", "flip": False, "scales": [1.0], "overlap": 0.0, "precision": "auto"}
TABLE = ClassTable.find("idd-level1")


def prepare(tree: Path) -> None:
    """Generated scenes and a bundle."""
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS

    generate(tree / "data/raw", train=0, val=64, test=0, seed=0)
    model = deploy(MODELS["small"].build(TABLE.count), MODELS["small"], TABLE.count)
    card = {"height": 128, "width": 256, "stride": 16, "classes": TABLE.content, "output": "logits"}
    write_bundle(tree / "models/bundle", model, card, SAMPLES.empty_table())


def rows(number: int) -> list[Row]:
    """Of the scenes over and over, each a sample of its own."""
    scenes = islice(cycle(find_rows(Path("data/raw"))), number)
    return [row | {"sample": f"{row['sample']}-{copy}"} for copy, row in enumerate(scenes)]


def predict(bundle: Bundle, chosen: list[Row]) -> float:
    """Seconds for the bare masks."""
    from roadseg.predict.predictor import Predictor

    predictor = Predictor(bundle, **SETTINGS)
    start = time.monotonic()
    for _ in predictor(images(chosen)):
        pass
    return time.monotonic() - start


def evaluate(bundle: Bundle, chosen: list[Row]) -> float:
    """Seconds for everything that the stage does after loading."""
    from roadseg.predict.predictor import Predictor

    predictor = Predictor(bundle, **SETTINGS)
    start = time.monotonic()
    write_scores(Path("out"), Path("out.json"), evaluated(chosen, counted(chosen, predictor)), resamples=1000, seed=0)
    return time.monotonic() - start


def peak_mb(number: int) -> int:
    """Peak resident memory of a process that runs the stage on so many images."""
    write_manifest(Path("data/manifest.parquet"), "manifest", from_rows(rows(number), "idd-lite", TABLE))
    code = "from benchmarks.evaluation import run_stage; run_stage()"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


def run_stage() -> None:
    """Run it here; prints the peak in MB last. The kernel's ru_maxrss would know the parent's peak too."""
    run(evaluate=EvaluateParams(**SETTINGS, resamples=1000, seed=0))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) // 1024)


def main() -> None:
    """Measure; prints one JSON object."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 226
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path[:1] + ["src"]))
        os.chdir(folder)
        bundle, chosen = Bundle.open(Path("models/bundle")), rows(number)
        predict(bundle, chosen[:16])  # compiles
        bare, whole = zip(*((predict(bundle, chosen), evaluate(bundle, chosen)) for _ in range(ROUNDS)), strict=True)
        memory = {f"peak_mb_{times}_times": peak_mb(times * number) for times in TIMES}
    figures: dict[str, float] = {
        "bare_s": round(min(bare), 2),
        "evaluate_s": round(min(whole), 2),
        "ratio": round(min(whole) / min(bare), 3),
    }
    print(json.dumps({"images": number, **figures, **memory, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    main()

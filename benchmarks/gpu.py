"""On a GPU, in one command: the tutorial's speed as a share of the peak, and the score of a model on a data set.

Speed: bfloat16 on JAX, against the best large matrix product in the same run. Score: the stages one after the other,
without DVC, MLflow or Prefect, with as many epochs as fit into the minutes. What is done stays in the folder: called
again, the command goes on from the checkpoint, so that a training of 20 minutes fits into commands of ten.

Needs these wheels and what they need: filelock, jax (with CUDA), keras, numpy, pandas, pillow, psutil, pyarrow,
pydantic, pyyaml, rich, scipy. Exits 75 where `--seconds` ran out: run it again.
Example: `python -m benchmarks.gpu idd20k_lite.tar.gz --minutes 20 --seconds 560`
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SPARE = 0.85  # of the minutes; the rest is compiling and the monitored score
INTERRUPTED = 75
EVALUATED = {"flip": True, "scales": [0.75, 1.0, 1.25, 1.5]}


def speed(side: int, batch: int) -> dict[str, float]:
    """Images a second of the tutorial's U-Net, and the share of the peak."""
    import keras

    from benchmarks.peak import seconds
    from benchmarks.training import FORWARD, STEP, gflop, ours

    keras.config.set_dtype_policy("mixed_bfloat16")
    peak = max(_product_gflops(product) for product in (32 * side, 64 * side))
    step, predict = ours("tutorial", side, side, batch)
    rates = {"train": batch / seconds(step), "predict": batch / seconds(predict)}
    forward = gflop("tutorial", side, side)
    return {
        "tutorial_batch": batch,
        "peak_gflops": round(peak),
        "tutorial_images_per_second": round(rates["train"], 1),
        "tutorial_train_share": round(rates["train"] * STEP * forward / peak, 3),
        "tutorial_predict_images_per_second": round(rates["predict"], 1),
        "tutorial_predict_share": round(rates["predict"] * FORWARD * forward / peak, 3),
    }


def _product_gflops(side: int) -> float:
    """Rate of a bfloat16 matrix product, GFLOP/s."""
    import jax

    from benchmarks.peak import seconds

    one, other = (jax.random.normal(jax.random.key(key), (side, side), jax.numpy.bfloat16) for key in (0, 1))
    multiply = jax.jit(jax.numpy.matmul)
    return 2 * side**3 / seconds(lambda: multiply(one, other).block_until_ready()) / 1e9


def prepare(archive: str, changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Unpack into the current folder, and scan and preprocess it; returns how many images there are to train on."""
    from roadseg.contracts import paths
    from roadseg.contracts.classes import ClassTable
    from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
    from roadseg.intake.archive import unpack
    from roadseg.preprocess import stage as preprocess
    from roadseg.scan import stage as scan

    classes = ClassTable.find("idd-level1")
    for half_done in (Path("unpacked"), paths.RAW):
        shutil.rmtree(half_done, ignore_errors=True)
    paths.RAW.parent.mkdir(exist_ok=True)
    unpack(Path(archive), Path("unpacked")).rename(paths.RAW)
    classes.write(paths.CLASSES)
    scan.run(scan=scan.ScanParams(**_section("scan", changes)))
    scanned = read_manifest(paths.SCAN, "scan")
    rows = [row for row in scanned.records() if row["error"] is None]
    write_manifest(paths.MANIFEST, "manifest", from_rows(rows, scanned.layout, classes))
    preprocess.run(preprocess=preprocess.PreprocessParams(**_section("preprocess", changes)))
    return {"labelled": sum(row["split"] == "train" and bool(row["mask"]) for row in rows)}


def step_seconds(name: str, height: int, width: int, batch: int, muon: int) -> float:
    """Shortest time of a training step, the mean of as many as lie between two of Muon's."""
    import keras

    from benchmarks.peak import seconds
    from benchmarks.training import ours

    keras.config.set_dtype_policy("mixed_bfloat16")
    step, steps = ours(name, height, width, batch, muon)[0], max(1, muon)
    return seconds(lambda: [step() for _ in range(steps)]) / steps


def train(changes: dict[str, dict[str, Any]]) -> None:
    """Train in the current folder, from the checkpoint where there is one."""
    from roadseg.contracts.errors import Interrupted
    from roadseg.train.params import TrainParams
    from roadseg.train.stage import run

    try:
        run(train=TrainParams(**_section("train", changes)))
    except Interrupted as stopped:
        print(stopped)
        sys.exit(INTERRUPTED)


def evaluate(changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Score in the current folder."""
    from roadseg.contracts import paths
    from roadseg.contracts.files import read_json
    from roadseg.evaluate.stage import EvaluateParams, run

    run(evaluate=EvaluateParams(**_section("evaluate", changes)))
    found = read_json(paths.METRICS, "metrics", "evaluate")
    return {name: found[name] and round(found[name], 3) for name in ("miou", "miou_low", "miou_high")}


def _section(name: str, changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    import yaml

    section: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())[name]
    return section | changes.get(name, {})


class Progress:
    """What is done in a folder, and how long may be taken for the rest."""

    def __init__(self, folder: Path, limit: float) -> None:
        """Go on where the last call ended; `limit` is in seconds from now."""
        self._folder, self._end = folder, time.monotonic() + limit
        self._path = folder / "progress.json"
        self.done: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def once(self, name: str, work: str) -> Any:
        """What an expression over this module gives in a process of its own, which leaves the GPU's memory.

        Exits 75 where the time ran out; a training has saved its state then.
        """
        if name not in self.done:
            start = time.monotonic()
            self.done[name] = self._run(work)
            self.keep("seconds", {**self.done.get("seconds", {}), name: round(time.monotonic() - start, 1)})
        return self.done[name]

    def keep(self, name: str, value: Any) -> Any:
        """Write down what was found."""
        self.done[name] = value
        self._path.write_text(json.dumps(self.done, indent=1))
        return value

    def _run(self, work: str) -> Any:
        code = f"import json, benchmarks.gpu as gpu; print(json.dumps({work}))"
        environment = os.environ | {
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "ROADSEG_HOME": str(self._folder / "home"),
        }
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, cwd=self._folder, env=environment, stdout=subprocess.PIPE, text=True) as child:
            try:
                said, _ = child.communicate(timeout=max(1, self._end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGTERM)
                child.communicate()
                print(f"the time is over in {work.partition('(')[0]}: run the same command again", file=sys.stderr)
                sys.exit(INTERRUPTED)
        if child.returncode:
            sys.exit(child.returncode)
        return json.loads(said.splitlines()[-1])


def main() -> None:
    """Measure; prints one JSON object."""
    options = _parser().parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(options.folder.absolute(), options.seconds)
    model, height, width, batch = options.model, options.height, options.width, options.batch
    found = progress.once("speed", f"gpu.speed({options.side}, {options.tutorial_batch})")
    recipe = json.loads(options.train)
    changes = {"preprocess": {"height": height, "width": width}, "evaluate": EVALUATED}
    data = progress.once("prepare", f"gpu.prepare({str(options.archive.absolute())!r}, {changes!r})")
    muon = _section("train", {"train": recipe})["muon"]
    each = progress.once("step_seconds", f"gpu.step_seconds({model!r}, {height}, {width}, {batch}, {muon})")
    epochs = max(1, int(SPARE * 60 * options.minutes / (each * max(1, data["labelled"] // batch))))
    changes["train"] = recipe | {"model": model, "batch": batch, "epochs": recipe.get("epochs", epochs)}
    progress.once("train", f"gpu.train({changes!r})")
    scored = progress.once("evaluate", f"gpu.evaluate({changes!r})")
    devices = progress.once("devices", "[str(device.device_kind) for device in __import__('jax').devices()]")
    about = {
        "devices": devices,
        "size": f"{width}x{height}",
        "train": changes["train"],
        "seconds": progress.done["seconds"],
    }
    print(json.dumps({**found, **scored, **about, "date": time.strftime("%Y-%m-%d")}, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="a data set, such as IDD Lite's archive")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/roadseg-gpu"), help="keeps what is done")
    parser.add_argument("--seconds", type=float, default=86400, help="after which this command ends")
    parser.add_argument("--minutes", type=float, default=20, help="of the training")
    parser.add_argument("--model", default="large", help="of the family")
    parser.add_argument("--height", type=int, default=224, help="working height, pixels")
    parser.add_argument("--width", type=int, default=320, help="working width, pixels")
    parser.add_argument("--batch", type=int, default=16, help="images in a step of the training")
    parser.add_argument("--train", default="{}", help="changes to params.yaml's section train, as JSON")
    parser.add_argument("--side", type=int, default=128, help="of the tutorial's images, pixels")
    parser.add_argument("--tutorial-batch", type=int, default=64, help="images in a step of the tutorial")
    return parser


if __name__ == "__main__":
    main()

"""On a GPU, in one command: the tutorial's speed as a share of the peak, and the score of a model on IDD Lite.

Speed: bfloat16 on JAX, against the best large matrix product in the same run. Score: the whole graph in a clone of this
checkout, with as many epochs as fit into the minutes. Reads the archive that ROADSEG_IDD_LITE names, else generated
scenes. Example: `make setup LOCK=jax`, then `ROADSEG_IDD_LITE=idd20k_lite.tar.gz python -m benchmarks.gpu --minutes 20`
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import machine
from benchmarks.peak import seconds
from benchmarks.samples import unpack
from benchmarks.training import FORWARD, STEP, gflop, ours

os.environ["KERAS_BACKEND"] = "jax"
ROOT = Path(__file__).parent.parent
SPARE = 0.85  # of the minutes; the rest is compiling and the monitored score


def product_gflops(side: int) -> float:
    """Rate of a bfloat16 matrix product, GFLOP/s."""
    import jax

    one, other = (jax.random.normal(jax.random.key(key), (side, side), jax.numpy.bfloat16) for key in (0, 1))
    multiply = jax.jit(jax.numpy.matmul)
    return 2 * side**3 / seconds(lambda: multiply(one, other).block_until_ready()) / 1e9


def speed(side: int, batch: int) -> dict[str, float]:
    """Images per second of the tutorial's U-Net, and the share of the peak; run in a process of its own."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    peak = max(product_gflops(product) for product in (32 * side, 64 * side))
    step, predict = ours("tutorial", side, side, batch)
    rates = {"train": batch / seconds(step), "predict": batch / seconds(predict)}
    forward = gflop("tutorial", side, side)
    return {
        "peak_gflops": round(peak),
        "tutorial_images_per_second": round(rates["train"], 1),
        "tutorial_train_share": round(rates["train"] * STEP * forward / peak, 3),
        "tutorial_predict_images_per_second": round(rates["predict"], 1),
        "tutorial_predict_share": round(rates["predict"] * FORWARD * forward / peak, 3),
    }


def step_seconds(name: str, height: int, width: int, batch: int) -> float:
    """Of one training step; run in a process of its own."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    return seconds(ours(name, height, width, batch)[0])


def apart(work: str) -> Any:
    """What an expression over this module gives in a process of its own, which leaves the GPU's memory when it ends."""
    code = f"import json, benchmarks.gpu as gpu; print(json.dumps({work}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def score(folder: Path, model: str, height: int, width: int, batch: int, minutes: float) -> dict[str, Any]:
    """Import, train as long as the minutes last, and evaluate in a clone."""
    from roadseg.contracts.files import read_json
    from roadseg.contracts.manifest import read_manifest
    from roadseg.pipeline.settings import change_settings

    tree = folder / "tree"
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "ROADSEG_HOME": str(folder / "home")}

    def run(*command: str) -> float:
        start = time.monotonic()
        subprocess.run(command, cwd=tree, check=True, env=environment, stdout=sys.stderr)
        return time.monotonic() - start

    subprocess.run(["git", "clone", "-q", str(ROOT), str(tree)], check=True)
    change_settings(tree / "params.yaml", "preprocess", {"height": height, "width": width})
    change_settings(tree / "params.yaml", "evaluate", {"flip": True, "scales": [0.75, 1.0, 1.25, 1.5]})
    run(sys.executable, "-m", "roadseg", "data", "import", str(unpack(folder / "source")))
    run("dvc", "repro", "-q", "preprocess")
    labelled = sum(bool(row["mask"]) for row in read_manifest(tree / "data/manifest.parquet").records("train"))
    each = apart(f"gpu.step_seconds({model!r}, {height}, {width}, {batch})")
    epochs = max(1, int(SPARE * 60 * minutes / (each * max(1, labelled // batch))))
    change_settings(tree / "params.yaml", "train", {"model": model, "batch": batch, "epochs": epochs})
    trained = run("dvc", "repro", "-q", "train")
    run("dvc", "repro", "-q", "evaluate")
    found = read_json(tree / "metrics.json", "metrics", "dvc repro evaluate")
    return {
        "model": model,
        "size": f"{width}x{height}",
        "epochs": epochs,
        "train_minutes": round(trained / 60, 1),
        "miou": round(found["miou"], 3),
    }


def main(
    minutes: Annotated[float, typer.Option(help="Of the training.")] = 20,
    model: Annotated[str, typer.Option(help="Of the family.")] = "large",
    height: Annotated[int, typer.Option(help="Working height, pixels.")] = 224,
    width: Annotated[int, typer.Option(help="Working width, pixels.")] = 320,
    batch: Annotated[int, typer.Option(help="Images in a step of the training.")] = 16,
    side: Annotated[int, typer.Option(help="Of the tutorial's images, pixels.")] = 128,
    tutorial_batch: Annotated[int, typer.Option(help="Images in a step of the tutorial.")] = 64,
) -> None:
    """Measure; prints one JSON object."""
    found = {"tutorial_batch": tutorial_batch, **apart(f"gpu.speed({side}, {tutorial_batch})")}
    with tempfile.TemporaryDirectory() as folder:
        found |= score(Path(folder), model, height, width, batch, minutes)
    devices = apart("[str(device.device_kind) for device in __import__('jax').devices()]")
    print(json.dumps({"devices": devices, **found, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    typer.run(main)

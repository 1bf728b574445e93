"""Training and prediction against the tutorial's `fit` and `predict`, PyTorch and the machine's peak, all in one run.

The tutorial's U-Net at 128x128 in batches of 16, and the default model at 256x128 in batches of 8; random pixels, on
which speed does not depend. PyTorch is measured by the Python that ROADSEG_TORCH names; else left out.
Example: `ROADSEG_TORCH=~/torch/bin/python python -m benchmarks.training`
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.peak import convolution, peak_gflops

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(len(os.sched_getaffinity(0))))

BATCH, CLASSES, ROUNDS = 16, 7, 5
DEFAULT, SIZE, DEFAULT_BATCH = "small", (128, 256), 8  # of params.yaml
FORWARD, STEP = 1, 3  # a step is forward, and both gradients


def usual() -> tuple[Callable[[], object], Callable[[], object]]:
    """The tutorial's `fit` of one batch, and its `predict`."""
    from roadseg.train.models import tutorial

    model = tutorial.build(CLASSES)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, 128, 128, 3)).astype(np.float32)
    masks = rng.integers(0, CLASSES, (BATCH, 128, 128, 1)).astype(np.float32)
    return (
        lambda: model.fit(images, masks, batch_size=BATCH, verbose=0),
        lambda: model.predict(images, batch_size=BATCH, verbose=0),
    )


def ours(name: str, height: int, width: int, batch: int = BATCH) -> tuple[Callable[[], object], Callable[[], object]]:
    """A guarded step of ours, and a prediction of the bundle's model."""
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS
    from roadseg.train.params import StepRecipe
    from roadseg.train.step.compiled import compiled
    from roadseg.train.step.guard import Guard

    architecture = MODELS[name]
    optimizer = {"learning_rate": 1e-3, "weight_decay": 0.02, "warmup": 0.05, "clip": 5.0, "average": 0.98}
    loss = {"balance": 0.5, "dice": 1.0, "lovasz": 0.0, "hard": 0.0}
    recipe = StepRecipe.model_validate({"accumulate": 1, **optimizer, **loss})
    model = compiled(architecture, np.ones(CLASSES), 100, recipe)
    guard = Guard(model, Path(), lambda epoch, step: [])
    rng, reduction = np.random.default_rng(0), architecture.reduction
    images = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
    masks = rng.integers(0, CLASSES, (batch, height // reduction, width // reduction), np.uint8)
    bundled = deploy(model, architecture, CLASSES)
    return lambda: guard.step(images, masks, 1, 1), lambda: bundled.predict_on_batch(images)


def rates(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Times a second of each, medians of interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:  # the first builds graphs
                times[name].append(time.perf_counter() - start)
    return {name: 1 / statistics.median(each) for name, each in times.items()}


def gflop(name: str, height: int, width: int) -> float:
    """Of one image's convolutions, forward."""
    from roadseg.train.models.cost import cost
    from roadseg.train.models.known import MODELS

    return 2 * cost(MODELS[name], CLASSES, height, width).multiply_adds / 1e9


def convolutions(name: str, height: int, width: int, batch: int) -> Callable[[], object]:
    """A step's convolutions alone, one after the other, each with its gradients."""
    from keras import layers

    from roadseg.contracts.batch_size import output_shapes
    from roadseg.train.models.known import MODELS

    model = MODELS[name].build(CLASSES)
    shapes = output_shapes(model, height, width)
    kinds = (layers.Conv2D, layers.Conv2DTranspose)
    each = [
        convolution(
            (batch, *shapes[id(layer.input)]),
            layer.kernel.shape,
            layer.strides[0],
            isinstance(layer, layers.Conv2DTranspose),
        )
        for layer in model.layers
        if isinstance(layer, kinds)
    ]
    return lambda: [work() for work in each]


def torch() -> dict[str, float] | None:
    """Images per second of the same U-Net in PyTorch, the better precision for each; None where it is not there."""
    python = os.environ.get("ROADSEG_TORCH")
    if not python:
        return None
    command, root = [python, "-m", "benchmarks.torch_unet"], Path(__file__).parent.parent
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    found = json.loads(done.stdout)
    return {name: max(each[name] for each in found.values()) for name in ("train", "predict")}


def main() -> None:
    """Measure and print one JSON object."""
    peaks = peak_gflops()
    peak = max(peaks.values())
    works = dict(zip(("fit", "predict"), usual(), strict=True))
    works |= dict(zip(("step", "bundle"), ours("tutorial", 128, 128), strict=True))
    works |= dict(zip(("default_step", "default_bundle"), ours(DEFAULT, *SIZE, DEFAULT_BATCH), strict=True))
    works["default_convolutions"] = convolutions(DEFAULT, *SIZE, DEFAULT_BATCH)
    found = {name: (DEFAULT_BATCH if "default" in name else BATCH) * rate for name, rate in rates(works).items()}
    forward, default = gflop("tutorial", 128, 128), gflop(DEFAULT, *SIZE)
    other = torch()
    figures: dict[str, Any] = {
        "train_ratio": found["step"] / found["fit"],
        "predict_ratio": found["bundle"] / found["predict"],
        "train_share": found["step"] * STEP * forward / peak,
        "predict_share": found["bundle"] * FORWARD * forward / peak,
        "fit_share": found["fit"] * STEP * forward / peak,
        "torch_train_ratio": other and found["step"] / other["train"],
        "torch_predict_ratio": other and found["bundle"] / other["predict"],
        "default_images_per_second": found["default_step"],
        "default_share": found["default_step"] * STEP * default / peak,
        "default_predict_images_per_second": found["default_bundle"],
        "default_not_convolution": 1 - found["default_step"] / found["default_convolutions"],
        "tutorial_images_per_second": found["step"],
    }
    rounded = {name: value and round(value, 2) for name, value in figures.items()}
    gflops = {f"peak_{name}_gflops": round(value) for name, value in peaks.items()}
    load = {"load_before": round(os.getloadavg()[0], 1), "date": time.strftime("%Y-%m-%d")}
    print(json.dumps({"model": DEFAULT, **rounded, **gflops, **load, **machine()}, indent=1))


if __name__ == "__main__":
    main()

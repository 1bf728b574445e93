"""Training and prediction as `train` and `evaluate` do them here, against the usual `fit`, PyTorch and the peak.

All in one run, in the precision that `auto` becomes: the tutorial's U-Net at 128x128 in batches of 16, the default
model and one with a pretrained encoder at 256x128 in batches of 8; random pixels, on which speed does not depend.
Where the processor has AMX, or dot products of bfloat16, all is measured once more without them
(`ONEDNN_MAX_CPU_ISA`). Training, prediction and the usual way are processes of their own, each with the threads that it
has in use. PyTorch is measured by the Python that ROADSEG_TORCH names; else left out. On a machine
whose speed moves let all take turns, `--turns 3`: each rate is then the median of so many processes.
Example: `ROADSEG_TORCH=~/torch/bin/python python -m benchmarks.training --turns 3`
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kinds import kinds
from benchmarks.machine import machine
from benchmarks.peak import convolution, peak_gflops
from benchmarks.torch_rates import CLASSES, MEASURED, best, torch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH, ROUNDS = 16, 6
DEFAULT, SIZE, DEFAULT_BATCH, MUON = MEASURED["default"], (128, 256), 8, 2  # of params.yaml
REDUCED = (96, 192)  # of its first epochs
PLAIN = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
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


def ours(
    name: str, height: int, width: int, batch: int = BATCH, muon: int = 0
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A guarded step of ours, and a prediction as Predictor makes it, both in the precision of Keras' policy."""
    import keras

    from roadseg.predict.enlarging import enlarged_at_once
    from roadseg.predict.forward import forward, in_precision
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS
    from roadseg.train.params import StepRecipe
    from roadseg.train.step.compiled import compiled
    from roadseg.train.step.guard import Guard

    architecture = MODELS[name]
    optimizer = {
        "learning_rate": 1e-3,
        "muon": muon,
        "weight_decay": 0.02,
        "warmup": 0.05,
        "clip": 5.0,
        "average": 0.98,
    }
    loss = {"balance": 0.5, "dice": 1.0, "lovasz": 0.0, "hard": 0.0}
    encoder = {"encoder_rate": 1.0, "encoder_frozen": 0.0}
    recipe = StepRecipe.model_validate({"accumulate": 1, **optimizer, **encoder, **loss})
    model = compiled(architecture, np.ones(CLASSES), 100, recipe)
    guard = Guard(model, Path(), lambda epoch, step: [])
    rng, reduction = np.random.default_rng(0), architecture.reduction
    images = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
    masks = rng.integers(0, CLASSES, (batch, height // reduction, width // reduction), np.uint8)
    low = keras.config.dtype_policy().compute_dtype == "bfloat16"
    # new biases are 0, which TensorFlow leaves out of its graph, and then fuses nothing with the convolution
    model.set_weights([each + rng.random() if each.ndim == 1 else each for each in model.get_weights()])
    bundled = in_precision(deploy(model, architecture, CLASSES), "bfloat16" if low else "float32", CLASSES)
    predict = forward(enlarged_at_once(bundled), images.shape)
    return lambda: guard.step(images, masks, 1, 1), lambda: predict(images)


def rates(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Times a second of each, medians of interleaved rounds, two by two: Muon moves in every other step."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:  # the first builds graphs
                times[name].append(time.perf_counter() - start)
    pairs = {name: [sum(pair) / 2 for pair in zip(each[::2], each[1::2], strict=True)] for name, each in times.items()}
    return {name: 1 / statistics.median(each) for name, each in pairs.items()}


def gflop(name: str, height: int, width: int) -> float:
    """Of one image's convolutions, forward."""
    from roadseg.train.models.cost import cost
    from roadseg.train.models.known import MODELS

    return 2 * cost(MODELS[name], CLASSES, height, width).multiply_adds / 1e9


def convolutions(name: str, height: int, width: int, batch: int, precision: str) -> Callable[[], object]:
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
            precision,
        )
        for layer in model.layers
        if isinstance(layer, kinds)
    ]
    return lambda: [work() for work in each]


def _ratio(ours_: float, theirs: float | None) -> float | None:
    return ours_ / theirs if theirs else None


def use(step: Callable[[], object], steps: int = 20) -> dict[str, float]:
    """What a step takes beside time: switches of context, and the share of the cores that were busy."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(steps):
        step()
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "default_context_switches_per_step": switches / steps,
        "default_cpu_share": busy / wall / len(os.sched_getaffinity(0)),
    }


def usual_part() -> dict[str, Any]:
    """The usual way, with what TensorFlow does by itself."""
    import keras

    keras.config.set_dtype_policy("float32")
    return {"rates": rates(dict(zip(("fit", "predict"), usual(), strict=True)))}


def limit_part() -> dict[str, Any]:
    """The step's convolutions alone, and the peak: one kernel of oneDNN after the other, each on all cores."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    works = {"default_convolutions": convolutions(DEFAULT, *SIZE, DEFAULT_BATCH, _precision())}
    return {"rates": rates(works), "peaks": peak_gflops()}


def train_part() -> dict[str, Any]:
    """Steps, with the threads that `train` gives them."""
    from roadseg.machine.kernels import settle_kernels
    from roadseg.train.params import configure_tensorflow

    settle_kernels()
    configure_tensorflow(len(os.sched_getaffinity(0)))
    settle_policy()
    works = {"step": ours("tutorial", 128, 128)[0], "adamw_step": ours(DEFAULT, *SIZE, DEFAULT_BATCH)[0]}
    works["default_step"] = ours(DEFAULT, *SIZE, DEFAULT_BATCH, MUON)[0]
    works["encoder_step"] = ours(MEASURED["encoder"], *SIZE, DEFAULT_BATCH)[0]  # as its recipe, without Muon
    works |= {"reduced_step": ours(DEFAULT, *REDUCED, 8, MUON)[0], "fixed_step": ours(DEFAULT, 16, 16, 1, MUON)[0]}
    return {"rates": rates(works), "use": use(works["default_step"])}


def predict_part() -> dict[str, Any]:
    """Predictions, with the threads that `Predictor` gives them."""
    from roadseg.machine.kernels import settle_kernels

    settle_kernels()
    settle_policy()
    works = {"bundle": ours("tutorial", 128, 128)[1], "default_bundle": ours(DEFAULT, *SIZE, DEFAULT_BATCH)[1]}
    works["encoder_bundle"] = ours(MEASURED["encoder"], *SIZE, DEFAULT_BATCH)[1]
    return {"rates": rates(works)}


PARTS = {"usual": usual_part, "limit": limit_part, "train": train_part, "predict": predict_part}


def settle_policy() -> None:
    """Let Keras compute in the precision that `auto` becomes."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16" if _precision() == "bfloat16" else "float32")


def _precision() -> str:
    from roadseg.machine.hardware import capabilities
    from roadseg.machine.precision import resolve_precision

    return resolve_precision("auto", capabilities())


def median(found: list[Any]) -> Any:
    """The median of trees of numbers, number by number; what is not in each is left out, None stays."""
    if isinstance(found[0], dict):
        common = [name for name in found[0] if all(name in each for each in found)]
        return {name: median([each[name] for each in found]) for name in common}
    return None if found[0] is None else statistics.median(found)


def measure(environment: dict[str, str], turns: int) -> dict[str, Any]:
    """Every figure, with the instructions that an environment allows, each the median of so many turns."""
    about = _apart("about", environment)
    took = [({name: _apart(name, environment) for name in PARTS}, torch(environment)) for _ in range(turns)]
    parts, other = median([own for own, _ in took]), median([theirs for _, theirs in took])
    precision = about["precision"]
    each = {name: rate for part in parts.values() for name, rate in part["rates"].items()}
    batches = {"default": DEFAULT_BATCH, "encoder": DEFAULT_BATCH}
    found = {name: batches.get(name.partition("_")[0], BATCH) * rate for name, rate in each.items()}
    peaks = parts["limit"]["peaks"]
    forward, default, peak = gflop("tutorial", 128, 128), gflop(DEFAULT, *SIZE), peaks[precision]
    figures: dict[str, Any] = {
        "train_ratio": found["step"] / found["fit"],
        "predict_ratio": found["bundle"] / found["predict"],
        "train_share": found["step"] * STEP * forward / peak,
        "predict_share": found["bundle"] * FORWARD * forward / peak,
        "fit_share": found["fit"] * STEP * forward / peak,
        "torch_train_ratio": _ratio(found["step"], best(other, "tutorial", "train")),
        "torch_predict_ratio": _ratio(found["bundle"], best(other, "tutorial", "predict")),
        "default_torch_train_ratio": _ratio(found["default_step"], best(other, "default", "train")),
        "default_torch_predict_ratio": _ratio(found["default_bundle"], best(other, "default", "predict")),
        "encoder_torch_train_ratio": _ratio(found["encoder_step"], best(other, "encoder", "train")),
        "encoder_torch_predict_ratio": _ratio(found["encoder_bundle"], best(other, "encoder", "predict")),
        "encoder_images_per_second": found["encoder_step"],
        "encoder_predict_images_per_second": found["encoder_bundle"],
        "default_images_per_second": found["default_step"],
        "default_share": found["default_step"] * STEP * default / peak,
        "default_predict_images_per_second": found["default_bundle"],
        "default_predict_share": found["default_bundle"] * FORWARD * default / peak,
        "default_not_convolution": 1 - found["default_step"] / found["default_convolutions"],
        "default_muon_cost": each["adamw_step"] / each["default_step"] - 1,
        "fixed_share": each["reduced_step"] / each["fixed_step"],
        "tutorial_images_per_second": found["step"],
        **parts["train"]["use"],
    }
    rounded = {name: value and round(value, 2) for name, value in figures.items()}
    gflops = {f"peak_{name}_gflops": round(value) for name, value in peaks.items()}
    shares = {
        "default_kinds": kinds(DEFAULT, *SIZE, DEFAULT_BATCH, precision, environment),
        "torch_images_per_second": other,
    }
    return about | rounded | gflops | shares | {"load_before": round(os.getloadavg()[0], 1)}


def about_part() -> dict[str, Any]:
    """What is measured, and with which instructions."""
    from roadseg.machine.hardware import capabilities
    from roadseg.machine.instruction_set import instruction_set

    return {"model": DEFAULT, "precision": _precision(), "instruction_set": instruction_set(capabilities())}


def main() -> None:
    """Measure and print one JSON object."""
    parser, alone = argparse.ArgumentParser(description=__doc__), {**PARTS, "about": about_part}
    parser.add_argument("part", nargs="?", choices=alone, help="measured alone, as each is in a process of its own")
    parser.add_argument("--turns", type=int, default=1, choices=range(1, 10), help="how often each process runs")
    asked = parser.parse_args()
    if asked.part:  # in a process of its own, since TensorFlow reads threads and instructions once
        print(json.dumps(alone[asked.part]()))
        return
    found = measure({}, asked.turns)
    if found["precision"] == "bfloat16" and "avx512" in found["instruction_set"]:
        found["without_amx" if "amx" in found["instruction_set"] else "without_bfloat16"] = measure(PLAIN, asked.turns)
    print(json.dumps(found | {"date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


def _apart(part: str, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training", part]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()

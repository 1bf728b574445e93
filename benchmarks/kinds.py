"""Where the time of a training step goes, by oneDNN's own count: `ONEDNN_VERBOSE` prints each kernel with its time."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

STEPS, MARK = 8, "steps begin"


def kinds(
    name: str, height: int, width: int, batch: int, precision: str, environment: dict[str, str]
) -> dict[str, float]:
    """Share of a step's CPU time by kind of kernel, 0..1; `other` is what is no kernel of oneDNN.

    On two cores train's kernels have one thread each, and two run at once: their times add up to CPU time.
    A `normalization reference` is one for which oneDNN has no fast kernel, as with channels that fill no vector.
    """
    code = f"from benchmarks.kinds import steps; steps({name!r}, {height}, {width}, {batch}, {precision!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment | {"ONEDNN_VERBOSE": "profile_exec"},
        cwd=Path(__file__).parent.parent,
    )
    _, _, lines = done.stdout.partition(MARK)
    times: dict[str, float] = defaultdict(float)
    for line in lines.splitlines():
        cells = line.split(",")
        if cells[0] == "onednn_verbose" and "exec" in cells:
            kind, kernel, way = cells[cells.index("exec") + 2 :][:3]
            times[_named(kind, kernel, way)] += float(cells[-1])
    whole = float(lines.splitlines()[-1])
    shares = {kind: round(time / whole, 3) for kind, time in sorted(times.items())}
    return shares | {"other": round(1 - sum(times.values()) / whole, 3)}


def _named(kind: str, kernel: str, way: str) -> str:
    if kind == "batch_normalization":
        return "normalization reference" if ":any" in kernel else "normalization"
    return f"{kind} {way}" if kind == "convolution" else kind


def steps(name: str, height: int, width: int, batch: int, precision: str) -> None:
    """Make steps and print their milliseconds of CPU together; run in a process of its own."""
    from roadseg.machine.kernels import settle_kernels
    from roadseg.train.params import configure_tensorflow

    settle_kernels()
    configure_tensorflow(len(os.sched_getaffinity(0)))
    import keras  # late: it loads TensorFlow, which reads that once

    from benchmarks.training import MUON, ours

    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    step, _ = ours(name, height, width, batch, MUON)
    for _ in range(3):
        step()
    print(MARK, flush=True)
    start = time.process_time()
    for _ in range(STEPS):
        step()
    print(1000 * (time.process_time() - start), flush=True)

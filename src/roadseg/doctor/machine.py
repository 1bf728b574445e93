"""Processor, memory, GPUs, and what a training would choose on them."""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from roadseg.doctor.finding import Finding
from roadseg.doctor.software import installed_lock
from roadseg.machine.hardware import gpus, machine_memory
from roadseg.machine.precision import resolve_precision

CPU_INFO = Path("/proc/cpuinfo")
FEATURES = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}
MIN_MEMORY = 4 << 30  # bytes of memory; the default training takes 1.5 GiB beside everything else that runs


def machine() -> Iterator[Finding]:
    """Look at the hardware."""
    model, features = processor()
    known = ", ".join(name for flag, name in FEATURES.items() if flag in features) or "none of AVX2, AVX512, AMX"
    yield Finding("machine", "processor", f"{model} ({known})")
    yield Finding("machine", "cores", str(cores()))
    memory = machine_memory()
    problem = "" if memory >= MIN_MEMORY else "little: set train.batch: auto in params.yaml and ROADSEG_WORKERS=1"
    yield Finding("machine", "memory", in_gib(memory), problem)
    found = gpus()
    silent = not found and shutil.which("nvidia-smi")
    problem = "nvidia-smi is here and names no GPU: look at what it says; training uses the CPU" if silent else ""
    described = [f"{name}, {in_gib(size)}, capability {capability}" for name, size, capability in found]
    yield Finding("machine", "gpu", "; ".join(described) or "none", problem)


def choices(threads: int | None) -> Iterator[Finding]:
    """What the pipeline would choose here.

    Args:
        threads: train.threads of params.yaml, None where it cannot be read.
    """
    found, there = gpus(), installed_lock()
    wanted, usable = ("gpu" if found else "cpu"), (found if there != "cpu" else [])
    lacks_gpu = wanted == "gpu" and there == "cpu"
    problem = "a GPU is here and the CPU's lock is installed: `make setup LOCK=gpu`, or LOCK=jax" if lacks_gpu else ""
    yield Finding("choice", "lock", f"{wanted} (installed: {there or 'none'})", problem)
    yield Finding("choice", "precision", resolve_precision("auto", [capability for _, _, capability in usable]))
    if threads is not None:
        problem = "more than the cores: lower train.threads in params.yaml" if threads > cores() else ""
        yield Finding("choice", "threads", str(threads), problem)
    asked = os.environ.get("ROADSEG_WORKERS") or str(cores())
    valid = asked.isdecimal() and int(asked) > 0
    problem = "" if valid else "ROADSEG_WORKERS: give a number of processes from 1 on"
    yield Finding("choice", "workers", asked, problem, stops=not valid)


def devices() -> Finding:
    """Ask the backend itself; it loads in seconds."""
    import keras

    names = keras.distribution.list_devices()
    blind = gpus() and not any("gpu" in name for name in names)
    problem = "the backend does not see the GPU: `make setup LOCK=gpu`, or LOCK=jax" if blind else ""
    return Finding("machine", f"devices of {keras.backend.backend()}", ", ".join(names), problem)


def processor() -> tuple[str, set[str]]:
    """Name and feature flags of the processor."""
    if not CPU_INFO.exists():
        return platform.processor() or platform.machine(), set()
    lines = [line.partition(":") for line in CPU_INFO.read_text().splitlines()]
    entries = {key.strip(): value.strip() for key, _, value in reversed(lines)}  # of the first core
    return entries.get("model name", platform.machine()), set(entries.get("flags", "").split())


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_gib(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / (1 << 30):.1f} GiB"

"""The machine's memory and GPUs; only what asks the backend loads it."""

import os
import subprocess
from pathlib import Path

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container, v2 and v1


def machine_memory() -> int:
    """Bytes of the machine's memory, or what its container may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(name).read_text().strip() for name in LIMITS if Path(name).exists()]
    return min([physical, *(int(limit) for limit in limits if limit.isdecimal())])


def gpu_memory() -> list[int]:
    """Bytes of each GPU's memory; empty where the driver does not answer."""
    return [memory for _, memory, _ in gpus()]


def gpus() -> list[tuple[str, int, str]]:
    """Name, bytes of memory and compute capability (`8.0`) of each GPU; empty where the driver does not answer."""
    rows = query_gpus("name,memory.total,compute_cap")
    return [(name, int(mib) << 20, capability) for name, mib, capability in rows if mib.isdecimal()]


def capabilities() -> list[str]:
    """Compute capability of each GPU that the backend computes on; none where that is the CPU."""
    return [capability for _, _, capability in gpus()] if has_gpu() else []


def query_gpus(fields: str) -> list[list[str]]:
    """A row of cells for each GPU, as `nvidia-smi --query-gpu` has them; empty where the driver does not answer."""
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == fields.count(",") + 1]


def device_memory() -> int:
    """Bytes of the smallest GPU's memory where the backend has one, else of the machine or its container.

    What the hardware has, not what is free now, so that the same is chosen tomorrow.
    """
    memory = min(gpu_memory(), default=0) if has_gpu() else 0
    return memory or machine_memory()


def has_gpu() -> bool:
    """Whether the backend computes on one."""
    import keras  # late: the TensorFlow backend loads in seconds

    # of all: asked for GPUs alone, JAX raises where there is none
    return any("gpu" in name.lower() for name in keras.distribution.list_devices())

"""The machine and its GPUs: memory, and how busy they are, without loading a backend."""

import os
import subprocess
from pathlib import Path

import psutil

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
    rows = _asked_of_driver("name,memory.total,compute_cap")
    return [(name, int(mib) << 20, capability) for name, mib, capability in rows if mib.isdecimal()]


def machine_load() -> dict[str, float]:
    """How busy the machine and its GPUs are, by the names of MLflow's system metrics.

    Shares in percent, of the time since the last call for the CPU; memory and disk in megabytes (10^6 bytes).
    """
    memory, disk, network = psutil.virtual_memory(), psutil.disk_usage(os.sep), psutil.net_io_counters()
    load = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": memory.percent,
        "disk_usage_percentage": disk.percent,
        "disk_available_megabytes": disk.free / 1e6,
        "network_receive_megabytes": network.bytes_recv / 1e6,
        "network_transmit_megabytes": network.bytes_sent / 1e6,
    }
    return {f"system/{name}": float(value) for name, value in (load | _gpu_load()).items()}


def _gpu_load() -> dict[str, float]:
    load: dict[str, float] = {}
    rows = _asked_of_driver("utilization.gpu,memory.used,memory.total,power.draw")
    for number, (busy, used, total, watts) in enumerate(rows):
        named = {"utilization_percentage": busy, "power_usage_watts": watts}
        load |= {f"gpu_{number}_{name}": float(value) for name, value in named.items() if _is_number(value)}
        if used.isdecimal() and total.isdecimal():
            load[f"gpu_{number}_memory_usage_megabytes"] = (int(used) << 20) / 1e6
            load[f"gpu_{number}_memory_usage_percentage"] = 100 * int(used) / int(total)
    return load


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).isdecimal()  # `[N/A]` where a card has no such sensor


def _asked_of_driver(fields: str) -> list[list[str]]:
    """A row of cells for each GPU; empty where the driver does not answer."""
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode:
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == fields.count(",") + 1]

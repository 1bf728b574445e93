"""Looks at the machine while a training runs, and enters what it sees into the journal."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from roadseg.machine.hardware import query_gpus
from roadseg.train.run.journal import Journal, read_journal

PAUSE = 10.0  # seconds between two looks, as MLflow has it
PATIENCE = 2.0  # seconds; a driver that hangs must not hold the end of a training up
OF_GPU = "utilization.gpu,memory.used,memory.total,power.draw,power.limit"
Load = dict[str, float]


@contextmanager
def watching(journal: Journal, pause: float = PAUSE) -> Iterator[None]:
    """Inside, a thread of its own enters the machine's figures each `pause` seconds; after a kill the steps go on."""
    entered = sum(entry["kind"] == "system" for entry in read_journal(journal.folder)[0])
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(journal, entered, stop, pause), daemon=True, name="system")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)


def _look(journal: Journal, entered: int, stop: threading.Event, pause: float) -> None:
    warned, before = False, _transferred()
    psutil.cpu_percent()  # its share counts from here
    while not stop.wait(pause):
        try:
            load = machine_load(before)
            if stop.is_set():  # nothing may follow the journal's end
                return
            journal.system(entered + 1, load)  # from 1: MLflow links what a run has at step 0 to its model
            entered += 1
        except Exception as error:  # a figure that this machine does not have, or a full disk, ends no training
            if not warned:
                print(f"warning: no system metrics: {error!r}", file=sys.stderr, flush=True)
            warned = True


def machine_load(before: Load) -> Load:
    """How busy this host and its GPUs are, by the names of MLflow's system metrics.

    Shares in percent, of the time since the last call for the CPU; memory, disk and network in megabytes (10^6 bytes).

    Args:
        before: what the network had transferred when the training began.
    """
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(os.sep)
    load = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": memory.percent,
        "disk_usage_megabytes": disk.used / 1e6,
        "disk_usage_percentage": disk.percent,
        "disk_available_megabytes": disk.free / 1e6,
    }
    load |= {name: now - before.get(name, 0.0) for name, now in _transferred().items()} | _gpu_load()
    return {f"system/{name}": float(value) for name, value in load.items()}


def _transferred() -> Load:
    counted = psutil.net_io_counters()
    if counted is None:  # no network here
        return {}
    return {
        "network_receive_megabytes": counted.bytes_recv / 1e6,
        "network_transmit_megabytes": counted.bytes_sent / 1e6,
    }


def _gpu_load() -> Load:
    load: Load = {}
    for number, cells in enumerate(query_gpus(OF_GPU)):
        busy, used, total, watts, limit = (_number(cell) for cell in cells)
        figures = {
            "utilization_percentage": busy,
            "memory_usage_megabytes": used and used * 2**20 / 1e6,
            "memory_usage_percentage": used and total and 100 * used / total,
            "power_usage_watts": watts,
            "power_usage_percentage": watts and limit and 100 * watts / limit,
        }
        load |= {f"gpu_{number}_{name}": value for name, value in figures.items() if value is not None}
    return load


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # `[N/A]` where a card has no such sensor
        return None

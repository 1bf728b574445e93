"""Run a command and measure it whole: seconds, and peak memory of its process tree.

Memory is PSS (shared pages counted once), summed over the tree each second.
Example: `python -m benchmarks.whole_run dvc repro`
"""

import json
import subprocess
import sys
import time
from contextlib import suppress

import psutil

from benchmarks.machine import machine


def tree_memory(root: psutil.Process) -> int:
    """PSS of a process and its descendants, bytes."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += process.memory_full_info().pss
    return total


def main() -> None:
    """Run the command given as arguments; prints one JSON object after it and ends with its exit status."""
    start, peak = time.monotonic(), 0
    running = subprocess.Popen(sys.argv[1:])
    root = psutil.Process(running.pid)
    while running.poll() is None:
        with suppress(psutil.NoSuchProcess):
            peak = max(peak, tree_memory(root))
        time.sleep(1)
    figures = {
        "command": " ".join(sys.argv[1:]),
        "date": time.strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - start, 1),
        "peak_pss_mb": round(peak / 1e6),
        **machine(),
    }
    print(json.dumps(figures, indent=1))
    sys.exit(running.returncode)


if __name__ == "__main__":
    main()

"""End a trainer that hangs: a process beside it that looks at its heartbeat.

`ROADSEG_HANG_SECONDS` (600) is how long a trainer may give no sign; a slow one has ten times its slowest step.
"""

import os
import signal
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from roadseg.contracts.files import home
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.sidecars import sidecar
from roadseg.train.run.heartbeat import Heartbeat, read_heartbeat

GRACE = 20.0  # seconds in which a trainer that only waits may save its state
SLOWER = 10.0


def watched(pid: int) -> AbstractContextManager[None]:
    """Watch the trainer with this process id, the caller's own, while the block runs."""
    return sidecar("roadseg.pipeline.watchdog", str(pid))


def watch(pid: int, runs: Path, limit: float) -> None:
    """Wait until the trainer ends; end it when it hangs.

    Args:
        pid: of the trainer.
        runs: folder of the run folders.
        limit: seconds without a sign that are no hang, however fast its steps were.
    """
    while _alive(pid):
        beats = [found for path in runs.glob("*/") if (found := read_heartbeat(path)) and found.pid == pid]
        if beats and hung(beats[0], time.time(), limit):
            print(
                f"train: no sign of life for {time.time() - beats[0].at:.0f} s (epoch {beats[0].epoch}, step "
                f"{beats[0].step}), so it is ended; the next run goes on from the last checkpoint",
                flush=True,
            )
            _end(pid, min(GRACE, limit))
        time.sleep(min(1.0, limit / 10))


def hung(last: Heartbeat, now: float, limit: float) -> bool:
    """Whether a trainer with this last sign hangs."""
    return now - last.at > max(limit, SLOWER * last.slowest)


def _end(pid: int, grace: float) -> None:
    deadline = time.monotonic() + grace
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)  # works on a stopped process too


def _alive(pid: int) -> bool:
    return os.getppid() == pid  # the trainer is the parent: no other process can have got its number


if __name__ == "__main__":
    follow_parent(int(sys.argv[1]))
    watch(int(sys.argv[1]), home() / "runs", float(os.environ.get("ROADSEG_HANG_SECONDS") or 600))

"""What a worker starts for a run, in the place of `prefect.engine`: `python -m flows.services.engine`.

Before Prefect is loaded, which takes seconds, the process follows its worker and holds its run's lock. It is the
command of the pool, under `setpriv --pdeathsig TERM`, which alone would miss a worker that dies between fork and exec.
"""

import os
import runpy

from flows.services.alive import RUN_VARIABLE, hold
from roadseg.machine.signals import follow_parent

WORKER_VARIABLE = "ROADSEG_WORKER"  # process id of the worker; other kinds of workers do not set it


def main() -> None:
    """Become Prefect's engine."""
    if worker := os.environ.get(WORKER_VARIABLE):
        follow_parent(int(worker))
    hold(os.environ[RUN_VARIABLE])
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

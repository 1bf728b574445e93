"""The worker of this home: ends what runs of a dead worker left, then becomes Prefect's worker.

So every start of a worker reconciles, also the one by supervisord after a kill.
"""

import os
import signal
import socket
import sys

from flows.ready import make_ready
from flows.services.engine import WORKER_VARIABLE

RUNS = 3  # at once: one trains, the others ask, predict or look after the runs; whoever waits has no process


def main() -> None:
    """Reconcile, and become the worker of `ROADSEG_POOL`."""
    make_ready()
    from flows.services.reconcile import reconcile_runs  # late: Prefect reads where its home is when it is imported

    os.environ[WORKER_VARIABLE] = str(os.getpid())
    for line in reconcile_runs():
        print(line, flush=True)
    # Prefect's worker answers SIGTERM by a SIGINT to itself, and a shell's background job is started with that ignored
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    work = ["worker", "start", "--pool", os.environ["ROADSEG_POOL"], "--type", "process", "--limit", str(RUNS)]
    work += ["--with-healthcheck"] if os.environ.get("PREFECT_WORKER_WEBSERVER_PORT") else []
    os.execv(sys.executable, [sys.executable, "-m", "prefect", *work, "--name", f"worker on {socket.gethostname()}"])


if __name__ == "__main__":
    main()

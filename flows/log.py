"""What the log of a run leaves out: an error that a person can act on needs no traceback."""

import logging

from roadseg.contracts.errors import RoadsegError


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], RoadsegError):
            record.exc_info = None
        return True


def leave_out_tracebacks() -> None:
    """Log errors of ours as their message alone; call it in the process of the run."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _OneLine) for known in logger.filters):
            logger.addFilter(_OneLine())

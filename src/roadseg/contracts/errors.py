"""Errors a person can act on, each with the exit code that scripts see."""

DONE, DEFECT, USAGE, REFUSED, HELD, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 75


class RoadsegError(Exception):
    """Something a person can act on; the message says what and how, without a traceback."""

    exit_code = DEFECT


class UsageError(RoadsegError):
    """An argument, a parameter or the order of commands is wrong."""

    exit_code = USAGE


class DataRefused(RoadsegError):
    """The data cannot be used as they are; names files and reasons."""

    exit_code = REFUSED


class Busy(RoadsegError):
    """Another process does this very work."""

    exit_code = BUSY


class Interrupted(RoadsegError):
    """Told to stop before the end; the same command goes on later."""

    exit_code = INTERRUPTED

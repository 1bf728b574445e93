"""Servers on this machine: whether a port is free, and whether an address answers."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.doctor.services import listener

PATIENCE = 240.0  # seconds; the first start creates the database, and a busy machine takes minutes
SAID = 3  # last lines of a log that an error repeats


def wait_for(url: str, ended: Callable[[], bool], log: Path) -> None:
    """Wait until `url` answers.

    Raises:
        RoadsegError: the server ended or did not answer in time; with the last that it said.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not ended():
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    said = " / ".join([line.strip() for line in lines if line.strip()][-SAID:])
    raise RoadsegError(
        f"{url} does not answer: {said or 'its server said nothing'} (see {log if log.exists() else log.parent})"
    )


def refuse_silent(url: str) -> None:
    """Ask the Prefect server that the user has configured for a sign of life.

    Raises:
        UsageError: there is none.
    """
    reason: object
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10):
            return
    except urllib.error.HTTPError as error:
        if error.code not in (502, 503, 504):
            return  # whoever asks for a login is there
        reason = error
    except OSError as error:
        reason = getattr(error, "reason", error)
        if "CERTIFICATE" in str(reason):  # Prefect has its own variables for these
            return
    raise UsageError(
        f"PREFECT_API_URL is {url.rpartition('@')[2]}, and nothing answers there ({reason}): start that server, or "
        "unset it for one of the flow's own"
    )


def refuse_taken(port: str, variable: str) -> None:
    """Look whether a server can have a port of this machine.

    Raises:
        UsageError: it is no number, or taken; by whom.
    """
    if not port.isdecimal():
        raise UsageError(f"{variable} is {port}: give a number")
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", int(port)))
    except (OSError, OverflowError) as error:
        holder = listener(int(port)) or error
        raise UsageError(f"port {port} is taken by {holder}: stop that, or choose another by {variable}=...") from None

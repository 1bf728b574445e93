"""The workers of a Dask cluster in place of local ones."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Client

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import code_digests, digest_of, home

PATIENCE = WORKERS_PATIENCE = 30.0  # seconds for a scheduler to answer, and for a first worker to be there
RETRIES = 3  # of a task whose worker died
REMEDY = "or unset ROADSEG_DASK to work on this machine"
OPEN = "ROADSEG_DASK_OPEN"  # yes: an address of the network without TLS is meant


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """Connect to a scheduler; its workers must run this code and see this folder and home under the same paths.

    Args:
        address: where the scheduler is, `tcp://host:port`, or `tls://host:port` past this machine.

    Raises:
        UsageError: the address is open to others, no scheduler answers, no worker is there, or a worker runs other code
            or sees other files.
    """
    _refuse_open(address)
    try:
        client: Any = Client(address, timeout=PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise UsageError(f"ROADSEG_DASK={address}: no scheduler answers ({reason}): start one, {REMEDY}") from None
    try:
        _check(client, address)
        yield client.get_executor(pure=False, retries=RETRIES)
    finally:  # what is queued is dropped with the client
        client.close()


def worker_state(folders: list[str]) -> tuple[str, list[str]]:
    """What a worker runs and does not see: the digest of its code, and which of the folders are absent."""
    return digest_of(code_digests("contracts", "imaging", "scan", "preprocess")), [
        folder for folder in folders if not Path(folder).is_dir()
    ]


def _refuse_open(address: str) -> None:
    """Whoever reaches a scheduler without TLS runs code on it and on its workers: Dask has no other login."""
    if address.startswith("tls://") or os.environ.get(OPEN) == "yes":
        return
    host = urlsplit(address if "://" in address else f"tcp://{address}").hostname or ""
    try:
        private = ip_address(host).is_loopback
    except ValueError:
        private = host == "localhost"
    if not private:
        raise UsageError(
            f"ROADSEG_DASK={address}: whoever reaches it can run code there: give tls://... with certificates, or "
            f"{OPEN}=yes on a network of your own, {REMEDY}"
        )


def _check(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_PATIENCE)
    except TimeoutError:
        raise UsageError(f"ROADSEG_DASK={address}: the scheduler has no worker: start one, {REMEDY}") from None
    home().mkdir(parents=True, exist_ok=True)
    folders = [os.getcwd(), str(home())]  # noqa: PTH109  (as text it travels)
    code, _ = worker_state(folders)
    answers = client.run(worker_state, folders, on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, Exception):
            raise UsageError(f"Dask worker {worker} cannot run roadseg ({answer}): install it there, {REMEDY}")
        if answer[1]:
            raise UsageError(f"Dask worker {worker} does not see {', '.join(answer[1])}: mount it there, {REMEDY}")
        if answer[0] != code:
            raise UsageError(
                f"Dask worker {worker} runs other code of roadseg: start it with this checkout's, {REMEDY}"
            )

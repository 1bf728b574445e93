"""Processes beside a stage, each `python -m MODULE`: whatever happens in one stops neither stage nor answer.

A sidecar's `main` calls `follow_parent` first, and so ends with the process that started it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Any

from roadseg.contracts.files import home

PATIENCE, HURRY = 10.0, 2.0  # seconds for a sidecar to end after SIGTERM; less where the stage itself was told to stop
IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # where the user says nothing


@contextmanager
def sidecar(module: str, *arguments: str, log: str | None = None) -> Iterator[None]:
    """Let a module run while the block runs, then end it: SIGTERM, `PATIENCE`, SIGKILL.

    Args:
        module: by its full name.
        arguments: of its command line.
        log: name of the file in home that its errors go to; what it says to people goes into the stage's own log.
    """
    with _output(log) as output:
        process = subprocess.Popen(
            _command(module, *arguments), env=_environment(), stdin=subprocess.DEVNULL, stderr=output
        )
    patience = PATIENCE
    try:
        yield
    except BaseException:  # told to stop: whoever told waits for all to end
        patience = HURRY
        raise
    finally:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(module: str, *arguments: str, log: str, patience: float) -> Any:
    """Let a module run and return what it told `answer`.

    Args:
        module: by its full name.
        arguments: of its command line.
        log: name of the file in home that its warnings and errors go to.
        patience: seconds until it is killed.

    Returns:
        Plain values; None where it failed or took longer.
    """
    with _output(log) as errors:
        try:
            done = subprocess.run(
                _command(module, *arguments),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=patience,
                check=True,
            )
            return json.loads(done.stdout.rpartition("\n")[2])
        except (subprocess.SubprocessError, ValueError):
            return None


def answer(content: Any) -> None:
    """Tell the process that asked, paths as text; libraries print lines before it, so it comes last."""
    print(json.dumps(content, default=str), end="", flush=True)


def _command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _environment() -> dict[str, str]:
    return {**IMPATIENT, **os.environ, "ROADSEG_HOME": str(home())}


def _output(log: str | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    home().mkdir(parents=True, exist_ok=True)
    return (home() / log).open("ab")

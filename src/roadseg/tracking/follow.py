"""Send journals to MLflow while trainings write them: live, best effort, never in the trainer's process."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from roadseg.contracts.files import home, replacing
from roadseg.machine.signals import follow_parent
from roadseg.tracking.outage import told
from roadseg.train.run.journal import read_journal

PAUSE = 1.0  # seconds between looks


def send_unsent(folder: Path, run_id: str | None = None) -> int:
    """Send what a run folder's journal holds behind the offset in `sent`, and the pictures behind that in `pictured`.

    Args:
        folder: of the run, in home.
        run_id: where to; by default the first run of the fingerprint, made where it is not there yet.

    Returns:
        How many entries were read; 0 where another follower is at it.

    Raises:
        Exception: whatever MLflow raises; the offset is then unchanged, so the next call tries again.
    """
    try:
        with FileLock(folder / "sent.lock", timeout=0):
            count = _send_figures(folder, run_id)
            if os.environ.get("ROADSEG_PICTURES") != "off":
                _send_pictures(folder, run_id)
            return count
    except Timeout:
        return 0


def _send_figures(folder: Path, run_id: str | None) -> int:
    mark = folder / "sent"
    entries, offset = _behind(mark, folder)
    if not entries:
        return 0
    from mlflow.entities import Metric  # late: it takes seconds, and a dead store must not stop the start

    from roadseg.tracking.store import connect, find_or_create_run, send_all, send_missing

    client = connect()
    run_id = run_id or find_or_create_run(client, folder.name).info.run_id
    done = entries[-1].get("text") == "done"
    client.update_run(run_id, status="FINISHED" if done else "RUNNING")
    figures: dict[str, list[Metric]] = {"metric": [], "system": []}
    for entry in entries:
        if entry["kind"] in figures:
            figures[entry["kind"]] += [
                Metric(key, value, entry["t"], entry["step"])
                for key, value in entry["values"].items()
                if value == value  # a class that the monitored drives do not show has no IoU
            ]
    send_missing(client, run_id, figures["metric"])
    # asking for the whole history of each with every look would grow with the square of the time; so after an outage in
    # the middle of a request a look may be there twice
    send = send_all if mark.exists() else send_missing
    send(client, run_id, figures["system"])
    _move(mark, offset)
    return len(entries)


def _send_pictures(folder: Path, run_id: str | None) -> None:
    mark = folder / "pictured"
    entries, offset = _behind(mark, folder)
    epochs = [entry["step"] for entry in entries if entry["kind"] == "image"]
    if epochs:
        from roadseg.tracking.store import connect, find_or_create_run
        from roadseg.tracking.watched import send_watched

        client = connect()
        send_watched(client, run_id or find_or_create_run(client, folder.name).info.run_id, folder, epochs)
    if entries:
        _move(mark, offset)


def _behind(mark: Path, folder: Path) -> tuple[list[dict[str, Any]], int]:
    return read_journal(folder, int(mark.read_text()) if mark.exists() else 0)


def _move(mark: Path, offset: int) -> None:
    with replacing(mark) as temporary:
        temporary.write_text(str(offset))


def follow(runs: Path, stop: threading.Event) -> None:
    """Send every journal below `runs` until told to stop, then once more."""
    said: set[str] = set()
    while True:
        last = stop.is_set()
        for folder in sorted(path.parent for path in runs.glob("*/journal.jsonl")):
            try:
                send_unsent(folder)
            except Exception as error:  # the store's trouble is not the training's
                complain(error, said)
        if last:
            return
        stop.wait(PAUSE)


def complain(error: Exception, said: set[str]) -> None:
    """Say what keeps the journal here: once in the training's own log, however long it lasts.

    Args:
        error: what MLflow raised.
        said: what was said before; added to.
    """
    line = str(told(error) or f"{type(error).__name__}: {error}")
    if line not in said:
        said.add(line)
        print(f"warning: {line}; the training goes on, and what is missing is sent later", flush=True)


def main() -> None:
    """Follow the journals in home until SIGTERM or the parent's end."""
    stop = threading.Event()

    def finish(_: int, __: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the trainer, which then ends this
    follow_parent()
    follow(home() / "runs", stop)


if __name__ == "__main__":
    main()

"""Send journals to MLflow while trainings write them: live, best effort, never in the trainer's process."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from roadseg.contracts.files import home, replacing
from roadseg.contracts.journal import read_journal
from roadseg.contracts.lifeline import follow_parent

PAUSE = 1.0  # seconds between looks


def send_unsent(folder: Path) -> int:
    """Send what one run folder's journal holds behind the offset in `sent`.

    Returns:
        How many entries were read; 0 where another follower is at it.

    Raises:
        Exception: whatever MLflow raises; `sent` is then unchanged, so the next call tries again.
    """
    from mlflow.entities import Metric  # late: it takes seconds, and a dead store must not stop the start

    from roadseg.tracking.store import connect, find_or_create_run, send_missing
    from roadseg.tracking.watched import send_watched

    try:
        with FileLock(folder / "sent.lock", timeout=0):
            sent = folder / "sent"
            entries, offset = read_journal(folder, int(sent.read_text()) if sent.exists() else 0)
            if entries:
                client = connect()
                run = find_or_create_run(client, folder.name)
                done = entries[-1].get("text") == "done"
                client.update_run(run.info.run_id, status="FINISHED" if done else "RUNNING")
                metrics = [
                    Metric(key, value, entry["t"], entry["step"])
                    for entry in entries
                    if entry["kind"] in {"metric", "system"}
                    for key, value in entry["values"].items()
                    if value == value  # a class that the monitored drives do not show has no IoU
                ]
                send_missing(client, run.info.run_id, metrics)
                epochs = [entry["step"] for entry in entries if entry["kind"] == "image"]
                send_watched(client, run.info.run_id, folder, epochs)
                with replacing(sent) as temporary:
                    temporary.write_text(str(offset))
            return len(entries)
    except Timeout:
        return 0


def follow(runs: Path, stop: threading.Event) -> None:
    """Send every journal below `runs` until told to stop, then once more."""
    while True:
        last = stop.is_set()
        for folder in sorted(path.parent for path in runs.glob("*/journal.jsonl")):
            try:
                send_unsent(folder)
            except Exception as error:  # the store's trouble is not the training's
                print(f"not sent, will try again: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        if last:
            return
        stop.wait(PAUSE)


def main() -> None:
    """Follow the journals in home until SIGTERM or the parent's end."""
    stop = threading.Event()

    def finish(_: int, __: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the trainer, which then ends this
    follow_parent()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    follow(home() / "runs", stop)


if __name__ == "__main__":
    main()

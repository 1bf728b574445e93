"""The run folder's journal: what a training says while it runs, append only."""

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any


def run_folder(home: Path, fingerprint: str) -> Path:
    """Folder of one experiment in home; equal experiments share it."""
    return home / "runs" / fingerprint


def metric_names(row: dict[str, float]) -> dict[str, float]:
    """A row of the history by MLflow's metric names: scores say that they are of the monitored drives, not of val."""
    scores = {f"monitored.{key}": value for key, value in row.items() if key == "miou" or key.startswith("iou.")}
    return {key: row[key] for key in ("loss", "learning_rate")} | scores


class Journal:
    """Appends lines to `journal.jsonl`; each is on disk when the call returns."""

    def __init__(self, folder: Path) -> None:
        """Open or create; a line that a crash cut in the middle is dropped."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path, self._lock = folder / "journal.jsonl", threading.Lock()
        self._path.touch()
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n"):
            with self._path.open("rb+") as opened:
                opened.truncate(content.rfind(b"\n") + 1)

    def metric(self, step: int, values: dict[str, float]) -> None:
        """Figures of one epoch, by MLflow's metric names."""
        self._append({"kind": "metric", "step": step, "values": values})

    def system(self, step: int, values: dict[str, float]) -> None:
        """Figures of the machine, by MLflow's names; steps count the looks at it."""
        self._append({"kind": "system", "step": step, "values": values})

    def image(self, step: int) -> None:
        """What the model sees in the watched images after an epoch stands in `watched/`."""
        self._append({"kind": "image", "step": step})

    def note(self, text: str, **details: Any) -> None:
        """Something that happened, with details by name."""
        self._append({"kind": "note", "text": text, **details})

    def _append(self, entry: dict[str, Any]) -> None:
        line = (json.dumps({"t": time.time_ns() // 1_000_000, **entry}, sort_keys=True) + "\n").encode()
        with self._lock, self._path.open("ab", buffering=0) as opened:
            before = opened.seek(0, os.SEEK_END)
            try:
                if opened.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fsync(opened.fileno())
            except OSError:
                opened.truncate(before)  # half a line would take the next one with it
                raise


def read_journal(folder: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read whole lines from a byte offset on.

    Args:
        folder: the run folder.
        offset: bytes read already.

    Returns:
        The entries (a line that is not JSON is passed over) and the offset behind them.
    """
    path = folder / "journal.jsonl"
    if not path.exists():
        return [], offset
    with path.open("rb") as opened:
        opened.seek(offset)
        content = opened.read()
    whole = content[: content.rfind(b"\n") + 1]
    entries = []
    for line in whole.splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries, offset + len(whole)

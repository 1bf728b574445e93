"""Keeps a training's state on disk: when it is saved, where it goes on, and how it stops."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras

from roadseg.contracts.errors import Interrupted
from roadseg.contracts.heartbeat import beat
from roadseg.contracts.journal import read_journal
from roadseg.train.batches import Batch
from roadseg.train.checkpoint import Checkpoints, Progress, clear


class Keeper:
    """Restores at the start, saves each `ROADSEG_CHECKPOINT_SECONDS` (60), and when told to stop."""

    def __init__(self, folder: Path, stopped_by: Callable[[], signal.Signals | None]) -> None:
        """Keep the state in a run folder.

        Args:
            folder: of the run.
            stopped_by: names the signal that came, or None; see `lifeline.stop_asked`.
        """
        self._folder, self._stopped_by = folder, stopped_by
        self._checkpoints = Checkpoints(folder)
        self._seconds = float(os.environ.get("ROADSEG_CHECKPOINT_SECONDS") or 60)
        self._saved = time.monotonic()

    def start(self, model: keras.Model) -> Progress:
        """Restore the newest state, or begin."""
        progress = self._checkpoints.restore(model)
        if progress != Progress():
            print(f"train: goes on in epoch {progress.epoch} after step {progress.step}", flush=True)
        beat(self._folder, progress.epoch, progress.step)
        return progress

    def unless_stopped(self, batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
        """Pass batches on while no step is made, and end early where it is asked to stop."""
        for batch in batches:
            beat(self._folder, progress.epoch, progress.step)
            if self._stopped_by():
                return
            yield batch

    def after_step(self, model: keras.Model, progress: Progress) -> None:
        """Say that it is alive; save where it is time; stop where it was asked.

        Raises:
            Interrupted: a signal came; the state is saved.
        """
        beat(self._folder, progress.epoch, progress.step)
        came = self._stopped_by()
        if came or time.monotonic() - self._saved >= self._seconds:
            self._checkpoints.save(model, progress)
            self._saved = time.monotonic()
        if came:
            raise Interrupted(
                f"stopped by {came.name} in epoch {progress.epoch} after step {progress.step}, the state is saved: "
                "run the same command to go on"
            )

    def finish(self, model: keras.Model, progress: Progress) -> None:
        """Save the end: until DVC has the bundle, a kill costs no training."""
        self._checkpoints.save(model, progress)


def forget_others(run: Path) -> None:
    """Delete the checkpoints of other trainings that are done; this one's is needed until DVC has the bundle."""
    for folder in run.parent.glob("*/"):
        entries, _ = read_journal(folder)
        if folder != run and entries and entries[-1].get("text") == "done":
            clear(folder)

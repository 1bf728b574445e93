"""Keeps a training's state on disk: when it is saved, where it goes on, and how it stops."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from roadseg.contracts.errors import Interrupted
from roadseg.machine.signals import Stop
from roadseg.train.data.batches import Batch
from roadseg.train.run.checkpoint import Checkpoints, Progress, clear
from roadseg.train.run.heartbeat import beat
from roadseg.train.run.journal import read_journal
from roadseg.train.run.watched import FOLDER
from roadseg.train.step.worker_processes import SINGLE_PROCESS, WorkerProcesses


class Checkpointer:
    """Restores at the start, saves each `ROADSEG_CHECKPOINT_SECONDS` (60), and when told to stop."""

    def __init__(self, folder: Path, stop: Stop, processes: WorkerProcesses = SINGLE_PROCESS) -> None:
        """Keep the state in a run folder.

        Args:
            folder: of the run.
            stop: says whether this process was asked to stop; then all do, after the same step.
            processes: that train together; the first saves.
        """
        self._folder, self._stop, self._processes = folder, stop, processes
        self._checkpoints = Checkpoints(folder)
        self._seconds = float(os.environ.get("ROADSEG_CHECKPOINT_SECONDS") or 60)
        self._saved, self._saved_at = (1, 0), time.monotonic()

    def start(self, model: keras.Model) -> Progress:
        """Restore the newest state, or begin."""
        progress = self._checkpoints.restore(model, self._processes)
        if progress != Progress():
            print(f"train: goes on in epoch {progress.epoch} after step {progress.step}", flush=True)
        self._saved = (progress.epoch, progress.step)
        self._beat(progress)
        return progress

    @contextmanager
    def building(self, model: keras.Model, progress: Progress) -> Iterator[None]:
        """The first step at a size: it builds a graph for seconds, so the state is saved and a signal need not wait.

        Raises:
            Interrupted: asked to stop; the state from before the step is saved.
        """
        self._save(model, progress)
        with self.at_once(progress):
            yield

    @contextmanager
    def saving(self, model: keras.Model, progress: Progress) -> Iterator[None]:
        """What ends with the state as it was, also where it is left at once: then it is saved.

        Raises:
            Interrupted: asked to stop; the state is saved.
        """
        try:
            yield
        except Interrupted:
            self._save(model, progress)
            raise

    @contextmanager
    def at_once(self, progress: Progress) -> Iterator[None]:
        """What a signal may end at any place; among several processes it waits, since the others compute with this one.

        Raises:
            Interrupted: asked to stop.
        """
        if self._processes.count > 1:
            yield
            return
        try:
            with self._stop.at_once():
                yield
        except Exception:  # what passes through TensorFlow's tracing comes out with its own words, or as another error
            if not self._stop.came:
                raise
            raise self._interrupted(progress) from None

    def alive(self, batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
        """Pass batches on while no step is made, and say that it is alive."""
        for batch in batches:
            self._beat(progress)
            yield batch

    def after_step(self, model: keras.Model, progress: Progress) -> None:
        """Say that it is alive; save where it is time; stop where it was asked.

        Raises:
            Interrupted: asked to stop; the state is saved.
        """
        self._beat(progress)
        stops = self._processes.any(self._stop.came is not None)
        if stops or time.monotonic() - self._saved_at >= self._seconds:
            self._save(model, progress)
        if stops:
            raise self._interrupted(progress)

    def finish(self, model: keras.Model, progress: Progress) -> None:
        """Save the end: until DVC has the bundle, a kill costs no training."""
        self._save(model, progress)

    def _interrupted(self, progress: Progress) -> Interrupted:
        name = self._stop.came.name if self._stop.came else "another process"
        return Interrupted(
            f"stopped by {name} in epoch {progress.epoch} after step {progress.step}, the state is saved: run the same "
            "command to go on"
        )

    def _save(self, model: keras.Model, progress: Progress) -> None:
        if self._processes.first and self._saved != (progress.epoch, progress.step):
            self._checkpoints.save(model, progress)
            self._saved = (progress.epoch, progress.step)
        self._saved_at = time.monotonic()

    def _beat(self, progress: Progress) -> None:
        beat(self._folder, progress.epoch, progress.step)


def forget_others(run: Path) -> None:
    """Delete checkpoints, and pictures that are sent, of other trainings that are done.

    This one's checkpoint is needed until DVC has the bundle.
    """
    for folder in run.parent.glob("*/"):
        entries, end = read_journal(folder)
        if folder != run and entries and entries[-1].get("text") == "done":
            clear(folder)
            pictured = folder / "pictured"
            if pictured.exists() and pictured.read_text() == str(end):
                shutil.rmtree(folder / FOLDER, ignore_errors=True)

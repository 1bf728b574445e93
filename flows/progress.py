"""How far a run is, as Prefect's page shows it: stage, epoch of epochs, score, time left."""

import re
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

EPOCH = re.compile(r"epoch (\d+)/(\d+)\s+(.*)")  # what train prints after each


class Progress:
    """One artifact of the run, changed once a stage and once an epoch, since each change is an event.

    A server that does not take it changes nothing of the run.
    """

    def __init__(self, key: str, stages: list[str]) -> None:
        """Show that nothing is done yet; call it in the flow, not in a task."""
        self._stages, self._stage = stages, stages[0]
        self._id: UUID | None = None
        self._id = self._show(create_progress_artifact, progress=0.0, key=key, description="begins")

    def begin(self, stage: str) -> None:
        """Show that a stage begins."""
        self._stage = stage
        self._update(0.0, f"{stage}, stage {self._stages.index(stage) + 1} of {len(self._stages)}")

    def line(self, said: str) -> None:
        """Look at a line that the stage printed: one in which train reports an epoch is shown."""
        if found := EPOCH.fullmatch(said.strip()):
            epoch, epochs, figures = int(found[1]), int(found[2]), " ".join(found[3].split())
            self._update(epoch / epochs, f"{self._stage}, epoch {epoch} of {epochs}: {figures}")

    def end(self, said: str) -> None:
        """Show that all is done, and what came out."""
        self._stage = self._stages[-1]
        self._update(1.0, said)

    def _update(self, share: float, description: str) -> None:
        percent = 100 * (self._stages.index(self._stage) + share) / len(self._stages)
        if self._id:
            self._show(update_progress_artifact, artifact_id=self._id, progress=percent, description=description)

    @staticmethod
    def _show(send: Any, **what: Any) -> UUID | None:
        try:
            shown: UUID = send(**what)
        except Exception as error:
            get_run_logger().warning("progress is not shown: %s: %s", type(error).__name__, error)
            return None
        return shown

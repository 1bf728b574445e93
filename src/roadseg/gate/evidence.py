"""What the gate must know of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import Evaluation


@dataclass(frozen=True)
class Evidence:
    """What is known of one version.

    Attributes:
        version: its number in the registry.
        evaluation: its answers on the candidate's val split, counted; None where they could not be had.
        settings: what they were made with, resolved: flip, scales, overlap, size, precision.
        key: input key of the evaluation, by which it is looked up.
        size: bytes of the bundle; None where not known.
        seconds: median time for an image, measured in turn with the other model; None where not measured.
        missing: what could not be had or looked up, each a sentence with its remedy; any of it makes the gate hold.
        classes: the class table, needed only where there is no evaluation.
    """

    version: int
    evaluation: Evaluation | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    size: int | None = None
    seconds: float | None = None
    missing: tuple[str, ...] = ()
    classes: ClassTable | None = None

    @property
    def table(self) -> ClassTable | None:
        """The class table of the model, if it is known."""
        return self.evaluation.counts.classes if self.evaluation else self.classes

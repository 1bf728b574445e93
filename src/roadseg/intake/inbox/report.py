"""What one look at an inbox has done, for people and for the flow."""

from dataclasses import asdict, dataclass, field
from typing import Any

from roadseg.intake.inbox.memory import Fate


@dataclass
class Report:
    """What a look has done.

    Attributes:
        fates: what became of deliveries, by digest of their content.
        notes: sentences on all else: what is known, still arriving, left alone.
        warnings: of validate, on samples of good drives.
        new: files that were added to data/raw.
        drives: those that were added and that nobody was told of yet.
        dry: whether nothing was done, only judged.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    new: int = 0
    drives: list[str] = field(default_factory=list)
    dry: bool = False

    def content(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"fates": {digest: fate.model_dump() for digest, fate in self.fates.items()}}

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Report":
        """Of what `content` gave."""
        known = {name: value for name, value in content.items() if name in cls.__dataclass_fields__}
        return cls(**known | {"fates": {digest: Fate(**fate) for digest, fate in content["fates"].items()}})

    def lines(self) -> list[str]:
        """What people read of it, the worst first."""
        refused = [
            f"refused: {fate.name}: {drive}: {reasons[0]}" + (f"; and {len(reasons) - 1} more" if reasons[1:] else "")
            for fate in self.fates.values()
            for drive, reasons in fate.refused.items()
        ]
        waits = [
            f"waits: {fate.name}: {drive}: {said}" for fate in self.fates.values() for drive, said in fate.waits.items()
        ]
        taken = [
            f"{'good' if self.dry else 'taken'}: {fate.name}: {', '.join(fate.drives)}"
            for fate in self.fates.values()
            if fate.drives
        ]
        return [*refused, *waits, *taken, *(f"warning: {said}" for said in self.warnings), *self.notes]

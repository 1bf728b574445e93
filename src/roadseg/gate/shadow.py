"""What a candidate said beside the champion to requests that were served: counts, and no pictures."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home, read_json, write_json

NAME = "shadow"
WORST = 20  # pictures that are named, by digest


@dataclass(frozen=True)
class Shadow:
    """A pair of versions and what they said of the same pictures.

    Attributes:
        champion, candidate: versions.
        champion_weights, candidate_weights: digests.
        classes: names.
        counts: int64 (K, K), pixels by the champion's class and the candidate's.
        pictures: compared.
        worst: digest and share of differing pixels of the pictures that differ most, the worst first.
    """

    champion: int
    candidate: int
    champion_weights: str
    candidate_weights: str
    classes: tuple[str, ...]
    counts: np.ndarray
    pictures: int = 0
    worst: tuple[tuple[str, float], ...] = field(default=())

    @property
    def disagreement(self) -> float:
        """Share of the pixels of which they say different things."""
        return _share(self.counts)

    @property
    def by_class(self) -> dict[str, float | None]:
        """Share of the champion's pixels of each class that the candidate calls otherwise; None without any."""
        rows = zip(self.classes, self.counts, range(len(self.classes)), strict=True)
        return {name: 1 - float(row[own] / row.sum()) if row.sum() else None for name, row, own in rows}

    def with_picture(self, digest: str, counts: np.ndarray) -> "Shadow":
        """With one picture more, whose counts are given."""
        ranked = {digest: _share(counts)} | dict(self.worst)
        worst = sorted(ranked.items(), key=lambda each: (-each[1], each[0]))[:WORST]
        return replace(self, counts=self.counts + counts, pictures=self.pictures + 1, worst=tuple(worst))

    def write(self) -> None:
        """Keep it in home."""
        content: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        write_json(_path(self.champion, self.candidate), NAME, content | {"counts": self.counts.tolist()})


def read_shadow(champion: int, candidate: int) -> Shadow | None:
    """What home has of a pair; None where they were never compared, or the file is damaged."""
    path = _path(champion, candidate)
    try:
        content = read_json(path, NAME, f"rm {path}")
    except UsageError:
        return None
    known = {name: content[name] for name in Shadow.__dataclass_fields__}
    counts, worst = np.array(known["counts"], np.int64), tuple((str(one), float(by)) for one, by in known["worst"])
    return Shadow(**known | {"counts": counts, "worst": worst, "classes": tuple(known["classes"])})


def read_shadows() -> list[Shadow]:
    """Every pair that home knows, the newest versions first."""
    names = [path.stem.split("-") for path in (home() / NAME).glob("*-*.json")]
    pairs = sorted(((int(pair[0]), int(pair[1])) for pair in names if "".join(pair).isdecimal()), reverse=True)
    return [found for pair in pairs if (found := read_shadow(*pair))]


def _share(counts: np.ndarray) -> float:
    total = int(counts.sum())
    return 1 - float(np.trace(counts) / total) if total else 0.0


def _path(champion: int, candidate: int) -> Path:
    return home() / NAME / f"{champion}-{candidate}.json"

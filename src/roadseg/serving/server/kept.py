"""Frames that the server keeps for labelling: a folder that never grows past its cap.

A quarter of it is a uniform sample of what was considered, which alone says how the world looks; the rest is what
teaches most. Each picture lies under its digest, with a sidecar.
"""

import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadseg.contracts.files import as_json, replacing

NAME = "kept-frame"
UNIFORM = 0.25  # of the cap, and of what is considered
PRESENT = 0.005  # share of a picture from which a class is in it
SEEN = 50  # pictures before a class is called rare
RARE = 0.1  # share of the pictures that a rare class is in, at most
ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}
OURS = re.compile(r"[0-9a-f]{64}\.(jpg|png|webp|json)")


@dataclass(frozen=True)
class Frame:
    """A served picture.

    Attributes:
        picture: its file's bytes.
        version, weights: that answered.
        sure: mean confidence over the pixels, 0..1.
        shares, confidence: by class, 0..1.
        differs: share of the pixels that the shadow calls otherwise; None where there was none.
    """

    picture: bytes
    version: int | None
    weights: str
    sure: float
    shares: dict[str, float]
    confidence: dict[str, float]
    differs: float | None = None


@dataclass
class Kept:
    """A frame in the folder: `rank` says how much it is worth among those of its kind, `size` its bytes."""

    uniform: bool
    rank: float
    size: int


@dataclass
class Keeper:
    """Keeps frames in `folder`, at most `cap` bytes of them."""

    folder: Path
    cap: int
    _there: dict[str, Kept] = field(default_factory=dict)
    _seen: int = 0
    _with_class: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Find what an earlier server kept; a picture without a sidecar was never finished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.iterdir()):
            if not OURS.fullmatch(path.name) or path.suffix == ".json":
                continue
            try:
                about = json.loads(path.with_suffix(".json").read_text("utf-8"))
                size = path.stat().st_size + path.with_suffix(".json").stat().st_size
                self._there[path.stem] = Kept(about["policy"] == "uniform", float(about["rank"]), size)
            except (OSError, ValueError, KeyError):
                self._remove(path.stem)

    @property
    def bytes(self) -> int:
        """Of all frames and sidecars."""
        return sum(each.size for each in self._there.values())

    def consider(self, frame: Frame) -> str | None:
        """Keep a frame where it is worth more than what it displaces.

        Returns:
            The policy that kept it; None where it was not kept.
        """
        with self._lock:
            digest = hashlib.sha256(frame.picture).hexdigest()
            policy, rank = self._judged(frame)
            if digest in self._there:
                return None
            sidecar = as_json(NAME, self._about(frame, digest, policy, rank)).encode()
            fresh = Kept(policy == "uniform", rank, len(frame.picture) + len(sidecar))
            if not self._make_room(fresh):
                return None
            ending = next(ending for start, ending in ENDINGS.items() if frame.picture.startswith(start))
            for suffix, content in ((ending, frame.picture), (".json", sidecar)):
                with replacing(self.folder / f"{digest}{suffix}") as temporary:
                    temporary.write_bytes(content)
            self._there[digest] = fresh
            return policy

    def _judged(self, frame: Frame) -> tuple[str, float]:
        """The policy that speaks most for a frame, and how loudly, 0..1."""
        present = [name for name, share in frame.shares.items() if share >= PRESENT]
        rarest = min((self._with_class[name] / max(1, self._seen) for name in present), default=1.0)
        known = self._seen >= SEEN
        self._seen += 1
        self._with_class.update(present)
        if random.random() < UNIFORM:  # a ticket: the highest that fit are a uniform sample of all that had one
            return "uniform", random.random()
        worth = {"uncertain": 1 - frame.sure, "disagreement": frame.differs or 0.0}
        worth["rare"] = 1 - rarest if known and rarest <= RARE else 0.0
        policy = max(worth, key=lambda name: worth[name])
        return policy, worth[policy]

    def _make_room(self, fresh: Kept) -> bool:
        """Take away what is worth less of the same kind; False where that is not enough, and nothing is taken away."""
        kind = {digest: each for digest, each in self._there.items() if each.uniform == fresh.uniform}
        free = self.cap * (UNIFORM if fresh.uniform else 1 - UNIFORM) - sum(each.size for each in kind.values())
        leaving = []
        for digest, each in sorted(kind.items(), key=lambda item: item[1].rank):
            if free >= fresh.size or each.rank >= fresh.rank:
                break
            leaving.append(digest)
            free += each.size
        if free < fresh.size:
            return False
        for digest in leaving:
            self._remove(digest)
        return True

    def _remove(self, digest: str) -> None:
        for suffix in (".json", *ENDINGS.values()):  # the sidecar first: a picture without one is no frame
            (self.folder / f"{digest}{suffix}").unlink(missing_ok=True)
        self._there.pop(digest, None)

    def _about(self, frame: Frame, digest: str, policy: str, rank: float) -> dict[str, Any]:
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "image_sha": digest,
            "version": frame.version,
            "weights": frame.weights,
            "policy": policy,
            "rank": rank,
            "confidence": frame.sure,
            "class_confidence": frame.confidence,
            "shares": frame.shares,
            "disagreement": frame.differs,
        }

"""Whom else a served picture is for, when its answer is sent: the shadow, and the folder of kept frames."""

import asyncio
import hashlib
import random
import time

import numpy as np

from roadseg.gate.shadow import Shadow, read_shadow
from roadseg.serving.server.engine import Engine
from roadseg.serving.server.fleet import Fleet, say
from roadseg.serving.server.kept import Frame, Keeper
from roadseg.serving.server.metrics import Metrics
from roadseg.serving.server.refusal import Refusal
from roadseg.serving.server.wire import Message

SHADOW, KEEP = "shadow", "keep"
PENDING = 4  # pictures that wait for the shadow; more are passed over, so that it never holds the champion up
WRITTEN = 5.0  # seconds between writes of the counts


class Sampler:
    """Draws the requests that are looked at again; without shares it draws none."""

    def __init__(
        self, fleet: Fleet, metrics: Metrics, shadow: float = 0.0, keep: float = 0.0, keeper: Keeper | None = None
    ) -> None:
        """Draw.

        Args:
            fleet: has the shadow's process.
            metrics: are told.
            shadow: share of the requests that the candidate sees too, 0..1.
            keep: share of the requests that are considered for keeping, 0..1.
            keeper: keeps.
        """
        self._fleet, self._metrics, self._keeper = fleet, metrics, keeper
        self._shares = {SHADOW: shadow, KEEP: keep if keeper else 0.0}
        self._pending, self._known = 0, dict[tuple[int, int], Shadow]()
        self._written = -WRITTEN
        self._due: asyncio.TimerHandle | None = None
        self._told: set[str] = set()

    def chosen(self) -> frozenset[str]:
        """What the next picture is also for."""
        return frozenset(name for name, share in self._shares.items() if share and random.random() < share)

    async def take(self, picture: bytes, answer: Message, engine: Engine, wanted: frozenset[str]) -> None:
        """A drawn picture, when its answer is sent."""
        try:
            differs = await self._compared(picture, answer.parts[1], engine) if self._shares[SHADOW] else None
            if KEEP in wanted and self._keeper:
                told = {name: answer.head[name] for name in ("sure", "shares", "confidence")}
                frame = Frame(picture, engine.version.version, engine.weights, **told, differs=differs)
                if policy := await asyncio.to_thread(self._keeper.consider, frame):
                    self._metrics.kept.labels(policy).inc()
        except (OSError, Refusal) as error:  # a full disk, or a shadow that dies, is nothing to whoever is served
            self._say(f"error: a picture was answered and not looked at again: {error}")

    async def _compared(self, picture: bytes, mask: bytes, engine: Engine) -> float | None:
        """Share of the pixels that the candidate calls otherwise; None where it did not see the picture."""
        other = self._fleet.shadow.current if self._fleet.shadow else None
        if other is None or other.ended.is_set() or self._pending >= PENDING:
            return None
        if other.version.version is None or engine.version.version in (None, other.version.version):
            return None
        if other.classes != engine.classes:
            self._say(f"{other.version.name} has another class table than {engine.version.name}: no shadow")
            return None
        self._pending += 1
        try:
            async with other.slot():
                found = await other.ask({"kind": "png", "sampled": False}, picture, mask)
        finally:
            self._pending -= 1
        counts = np.array(found.head["confusion"], np.int64)
        self._note(picture, counts, engine, other)
        return 1 - float(np.trace(counts) / counts.sum())

    def _note(self, picture: bytes, counts: np.ndarray, engine: Engine, other: Engine) -> None:
        pair = int(engine.version.version or 0), int(other.version.version or 0)
        known = self._known.get(pair) or read_shadow(*pair)
        names = tuple(engine.classes.names)
        if known is None or (known.champion_weights, known.candidate_weights) != (engine.weights, other.weights):
            nothing = np.zeros((len(names), len(names)), np.int64)
            known = Shadow(*pair, engine.weights, other.weights, names, nothing)
        self._known[pair] = known.with_picture(hashlib.sha256(picture).hexdigest(), counts)
        self._metrics.compared.inc()
        for name, row, same in zip(names, counts, np.diag(counts), strict=True):
            self._metrics.disagreed.labels(name, "yes").inc(int(same))
            self._metrics.disagreed.labels(name, "no").inc(int(row.sum() - same))
        if self._due is None:  # also where no other picture comes
            wait = WRITTEN - (time.monotonic() - self._written)
            self._due = asyncio.get_running_loop().call_later(max(0.0, wait), self.write)

    def write(self) -> None:
        """Keep the counts in home."""
        for known in self._known.values():
            known.write()
        self._written, self._due = time.monotonic(), None

    def _say(self, line: str) -> None:
        if line not in self._told:  # once is enough in a log
            self._told.add(line)
            say(line)

"""Which version serves: the alias is followed, a new version loads beside the old, a dead process is replaced."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roadseg.contracts.files import home
from roadseg.serving.server.engine import Engine, LoadFailed, Options, Version
from roadseg.serving.server.following import Following
from roadseg.serving.server.refusal import Refusal, busy

CHAMPION, CANDIDATE = "champion", "candidate"
LOOK = 1.0  # seconds between looks at what is to be done
RETRY = (5.0, 300.0)  # seconds until a version that failed is tried again, doubled up to the second
BESIDE = 10  # nice(1) of a shadow's process


@dataclass
class Failed:
    """A version that did not load: why, how often, and when to try again, monotonic seconds."""

    version: Version
    error: str
    times: int = 0
    again: float = 0.0


@dataclass
class Place:
    """One engine that is kept running, and what it should be; `swaps` and `restarts` count what happened.

    A `spare` one ends where nothing is wanted; another goes on with what it has.
    """

    options: Options
    spare: bool = False
    current: Engine | None = None
    loading: Version | None = None
    failed: Failed | None = None
    swaps: int = 0
    failures: int = 0
    restarts: int = 0
    load_s: float = 30.0
    _last: Version | None = None
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    async def keep(self, wanted: Callable[[], Version | None], changed: asyncio.Event) -> None:
        """Serve what is wanted, or the last that did, until cancelled."""
        while True:
            if self.spare and self.current and wanted() is None:
                await self._drop()
            elif version := self._to_load(wanted()):
                await self._load(version)
                continue
            waits = [asyncio.create_task(changed.wait())]
            if self.current:
                waits.append(asyncio.create_task(self.current.ended.wait()))
            await asyncio.wait(waits, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            changed.clear()

    def _to_load(self, wanted: Version | None) -> Version | None:
        """The wanted version where it does not run; the last one where that fails and nothing runs."""
        running = self.current.version if self.current and not self.current.ended.is_set() else None
        choices = [wanted] if self.spare else [wanted or self._last] + ([self._last] if running is None else [])
        for version in choices:
            if version and version != running and not self._resting(version):
                return version
        return None

    def _resting(self, version: Version) -> bool:
        return bool(self.failed and self.failed.version == version and time.monotonic() < self.failed.again)

    async def _load(self, version: Version) -> None:
        began, self.loading = time.monotonic(), version
        restarted = self.current is not None and self.current.ended.is_set()
        try:
            fresh = await Engine.start(version, self.options)
        except LoadFailed as error:
            self._note_failure(version, str(error))
            return
        finally:
            self.loading = None
        self.load_s, self.failed = time.monotonic() - began, None
        old, self.current, self._last = self.current, fresh, version
        self.restarts += restarted
        self.swaps += old is not None and not restarted
        say(f"{version.name} serves, weights {fresh.weights[:12]}, loaded in {self.load_s:.1f} s")
        if old:
            ending = asyncio.create_task(old.stop(self.options.limits.patience_s))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _drop(self) -> None:
        engine, self.current = self.current, None
        if engine:
            await engine.stop(self.options.limits.patience_s)

    def _note_failure(self, version: Version, error: str) -> None:
        times = self.failed.times + 1 if self.failed and self.failed.version == version else 1
        pause = min(RETRY[0] * 2 ** (times - 1), RETRY[1])
        self.failed = Failed(version, error, times, time.monotonic() + pause)
        self.failures += 1
        kept = f"; {self.current.version.name} goes on" if self.current and not self.current.ended.is_set() else ""
        say(f"error: {error}{kept}; tried again in {pause:.0f} s")
        copies = home() / "reuse/models"
        if Path(version.folder).is_relative_to(copies):  # a copy may be damaged: the next look fetches it anew
            shutil.rmtree(version.folder, ignore_errors=True)

    async def stop(self) -> None:
        """End all processes."""
        engines = [self.current] if self.current else []
        for ending in self._ending:
            ending.cancel()
        for engine in engines:
            with suppress(Exception):
                await engine.stop(0)


class Fleet:
    """The champion's place, and the candidate's where a shadow runs."""

    def __init__(self, options: Options, folder: str = "", shadow: bool = False) -> None:
        """Serve the champion.

        Args:
            options: how to predict.
            folder: a bundle to serve instead of the champion.
            shadow: keep the candidate beside it.
        """
        self.fixed = Version(None, str(Path(folder).absolute())) if folder else None
        self.main = Place(options)
        self.shadow = Place(replace(options, nice=BESIDE), spare=True) if shadow else None
        aliases = ([] if folder else [CHAMPION]) + ([CANDIDATE] if shadow else [])
        self.following = Following(aliases) if aliases else None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow and to load."""
        changed = self.following.changed if self.following else asyncio.Event()
        jobs = [self.main.keep(self._wanted, changed)]
        if self.shadow:
            jobs.append(self.shadow.keep(self._shadowed, asyncio.Event()))
        if self.following:
            jobs.append(self.following.run())
        self._tasks = [asyncio.create_task(job) for job in jobs]
        for task in self._tasks:
            task.add_done_callback(_told)

    async def stop(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for place in (self.main, self.shadow):
            if place:
                await place.stop()

    def engine(self) -> Engine:
        """What answers now.

        Raises:
            Refusal: nothing does.
        """
        if (engine := self.main.current) and not engine.ended.is_set():
            return engine
        raise self.unready()

    def unready(self) -> Refusal:
        """Why nothing answers."""
        place = self.main
        if place.failed and not place.loading:
            return busy(place.failed.error, "promote a version that loads, or start the server with --model FOLDER")
        if place.loading or self.fixed:
            return busy("the model is being loaded", f"try again in {place.load_s:.0f} s")
        problem = self.following.problem if self.following else ""
        if self.following and self.following.heard and not problem:
            return busy("no version is champion", "promote one: `roadseg promote`")
        return busy(problem or "the registry has not answered yet", "try again in a few seconds")

    def _wanted(self) -> Version | None:
        return self.fixed or (self.following.found.get(CHAMPION) if self.following else None)

    def _shadowed(self) -> Version | None:
        found = self.following.found.get(CANDIDATE) if self.following else None
        return found if found != self._wanted() else None

    def state(self) -> dict[str, Any]:
        """For `/version`."""
        place, engine = self.main, self.main.current
        alive = engine is not None and not engine.ended.is_set()
        return {
            **_described(engine if alive else None),
            "loading": place.loading.name if place.loading else None,
            "failed": {"version": place.failed.version.version, "error": place.failed.error} if place.failed else None,
            "swaps": place.swaps,
            "restarts": place.restarts,
            "registry": self._registry(),
            "shadow": _described(self.shadow.current) if self.shadow else None,
        }

    def _registry(self) -> dict[str, Any] | None:
        if not self.following:
            return None
        champion = self.following.found.get(CHAMPION)
        heard = self.following.heard
        return {
            "champion": champion.version if champion else None,
            "heard_s_ago": round(time.monotonic() - heard, 1) if heard else None,
            "problem": self.following.problem or None,
        }


def _described(engine: Engine | None) -> dict[str, Any]:
    if engine is None:
        return {"version": None, "weights": None}
    about = engine.about
    named = {
        "version": engine.version.version,
        "weights": engine.weights,
        "model": about["model"],
        "since": engine.since,
    }
    return named | {
        "classes": about["classes"]["classes"],
        "table": about["classes"]["name"],
        "settings": about["settings"],
    }


def _told(task: asyncio.Task[None]) -> None:
    """A task of ours that ends by itself is a defect."""
    if not task.cancelled() and (error := task.exception()):
        say(f"error: {error!r}")


def say(line: str) -> None:
    """Tell whoever reads the log."""
    print(f"roadseg serve: {line}", file=sys.stderr, flush=True)

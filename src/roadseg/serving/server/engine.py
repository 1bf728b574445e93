"""The server's hold of one process that predicts."""

import asyncio
import json
import os
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import RoadsegError
from roadseg.pipeline.process import tied
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.refusal import Refusal, busy
from roadseg.serving.server.wire import Message, receive

LOADING = 600.0  # seconds for a model to load; half a minute is usual on a busy machine
STOPPING = 5.0  # seconds from SIGTERM to SIGKILL
AHEAD = 2  # batches that a process holds at once, so that it never waits for the next
SAFE = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


@dataclass(frozen=True)
class Version:
    """What is to be served.

    Attributes:
        version: of the registered model; None for a bundle's folder.
        folder: the bundle on this disk.
        weights: their digest as the registry has it; empty where nobody says.
    """

    version: int | None
    folder: str
    weights: str = ""

    @property
    def name(self) -> str:
        """As people call it."""
        return f"version {self.version}" if self.version else self.folder


@dataclass(frozen=True)
class Options:
    """How to predict: `settings` of the `Predictor`, `nice` as nice(1) counts."""

    settings: dict[str, Any]
    limits: Limits
    nice: int = 0


class LoadFailed(RoadsegError):
    """A version does not load; what is served goes on."""


@dataclass
class Engine:
    """A process that has loaded a version.

    Attributes:
        about: what it said of itself: weights, classes, settings, images in a batch, seconds it took to load.
        since: when it was ready, seconds since the epoch.
        ended: is set when it has died or was stopped.
    """

    version: Version
    about: dict[str, Any]
    _process: Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    since: float = field(default_factory=time.time)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    users: int = 0

    def __post_init__(self) -> None:
        """Listen to it."""
        self.classes = ClassTable.model_validate(self.about["classes"])
        self.weights = str(self.about["weights"])
        self._numbers, self._idle = count(1), asyncio.Event()
        self._idle.set()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._slots = asyncio.Semaphore(AHEAD * self.about["images"])
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, version: Version, options: Options) -> "Engine":
        """Start a process and wait until it has loaded and answered.

        Raises:
            LoadFailed: it did not.
        """
        ours, theirs = socket.socketpair()
        settings = {"folder": version.folder, "weights": version.weights, "settings": options.settings}
        asked = json.dumps(settings | {"limits": asdict(options.limits), "nice": options.nice})
        module = [sys.executable, "-m", "roadseg.serving.server.worker", str(theirs.fileno()), asked]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *tied(module), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **SAFE}
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(LOADING):
                about = (await receive(reader)).head
            if said := about.get("failed"):
                raise LoadFailed(f"{version.name} does not load: {said}")
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            why = f"no answer in {LOADING:.0f} s" if isinstance(error, TimeoutError) else "its process died"
            await _end(process, writer)
            raise LoadFailed(f"{version.name} does not load: {why}") from None
        except BaseException:
            await _end(process, writer)
            raise
        return cls(version, about, process, reader, writer)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for the process to have room; first come, first served."""
        self.users += 1
        self._idle.clear()
        try:
            async with self._slots:
                yield
        finally:
            self.users -= 1
            if not self.users:
                self._idle.set()

    async def ask(self, head: dict[str, Any], *parts: bytes) -> Message:
        """Send a picture, inside a slot, and wait for the answer; a call that is cancelled is not predicted for.

        Raises:
            Refusal: the picture is refused, or the process died.
        """
        number = next(self._numbers)
        if self.ended.is_set():
            raise _lost()
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.writelines(Message(head | {"id": number}, list(parts)).encoded())
            await self._writer.drain()
            answer: Message = await future
        except ConnectionError:
            raise _lost() from None
        except asyncio.CancelledError:
            if not self.ended.is_set():
                self._writer.writelines(Message({"cancel": number}).encoded())
            raise
        finally:
            del self._waiting[number]
        if "status" in answer.head:
            raise Refusal(answer.head["status"], answer.head["error"], answer.head["what_to_do"])
        return answer

    async def stop(self, patience: float) -> None:
        """Wait until nobody uses it, at most so many seconds, and end it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._idle.wait()
        await _end(self._process, self._writer)
        await self.ended.wait()

    async def _listen(self) -> None:
        try:
            while True:
                answer = await receive(self._reader)
                future = self._waiting.get(answer.head["id"])
                if future and not future.done():
                    future.set_result(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(_lost())


def _lost() -> Refusal:
    return busy("the process that predicts has ended, and starts again", "try again in half a minute")


async def _end(process: Process, writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOPPING):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()

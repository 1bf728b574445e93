"""What the registry says is to be served, as a process beside the server tells it."""

import asyncio
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from roadseg.pipeline.process import tied
from roadseg.pipeline.sidecars import IMPATIENT
from roadseg.serving.server.engine import SAFE, Version

SILENCE = 60.0  # seconds after which it is said that the registry does not answer; a fetched bundle takes a few
AGAIN = 5.0  # seconds until a process that died is started again


@dataclass
class Following:
    """Follows aliases of the registered model.

    Attributes:
        aliases: to follow.
        found: the version at each that is known; the last known stays where the registry is away.
        heard: when the registry last answered, monotonic seconds; None before that.
        changed: is set when something may be new.
    """

    aliases: list[str]
    found: dict[str, Version | None] = field(default_factory=dict)
    heard: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _said: str = ""
    _spoke: float = field(default_factory=time.monotonic)

    @property
    def problem(self) -> str:
        """Why the registry is not followed now; empty where it is."""
        if self._said:
            return self._said
        quiet = time.monotonic() - self._spoke
        return f"the registry has not answered for {quiet:.0f} s" if quiet > SILENCE else ""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            process = await asyncio.create_subprocess_exec(
                *tied([sys.executable, "-m", "roadseg.registry.watch", *self.aliases]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                env={**IMPATIENT, **os.environ, **SAFE},
            )
            assert process.stdout is not None
            try:
                async for line in process.stdout:
                    self._take(line)
            finally:
                with suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()
            self._said = f"the process that asks the registry ended with {process.returncode}"
            await asyncio.sleep(AGAIN)

    def _take(self, line: bytes) -> None:
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # what a library prints
        self._said, self._spoke = said["problem"], time.monotonic()
        if not self._said:
            self.heard = self._spoke
        for alias, found in said["found"].items():
            self.found[alias] = Version(**found) if found else None
        self.changed.set()

"""Run the server until it is told to stop."""

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from roadseg.serving.server.app import Server, make_app
from roadseg.serving.server.engine import Options
from roadseg.serving.server.fleet import Fleet, say
from roadseg.serving.server.kept import Keeper
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.login import behind_login
from roadseg.serving.server.metrics import Metrics
from roadseg.serving.server.protocol import HEAD, bounded
from roadseg.serving.server.sampling import Sampler

GRACE = 10  # seconds for requests in flight when the server is told to stop


@dataclass(frozen=True)
class Serving:
    """What to serve, how and where.

    Attributes:
        host, port: to listen at; port 0 takes a free one.
        settings: of the `Predictor`.
        folder: a bundle instead of the champion.
        shadow: share of the requests that the candidate sees too, 0..1.
        keep: folder for frames to label; empty for none.
        keep_rate: share of the requests that are considered for it, 0..1.
        keep_cap: bytes that it may have.
        limits: for clients.
    """

    host: str
    port: int
    settings: dict[str, Any]
    folder: str = ""
    shadow: float = 0.0
    keep: str = ""
    keep_rate: float = 0.0
    keep_cap: int = 0
    limits: Limits = field(default_factory=Limits)


def serve_until_stopped(serving: Serving) -> None:
    """Serve until SIGTERM or SIGINT."""
    metrics = Metrics()
    fleet = Fleet(Options(serving.settings, serving.limits), serving.folder, bool(serving.shadow))
    keeper = Keeper(Path(serving.keep), serving.keep_cap) if serving.keep else None
    sampler = Sampler(fleet, metrics, serving.shadow, serving.keep_rate, keeper)
    app = behind_login(make_app(Server(fleet, serving.limits, metrics, sampler)))
    config = uvicorn.Config(
        app,
        host=serving.host,
        port=serving.port,
        loop="asyncio",
        http=bounded(serving.limits),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=serving.limits.connections,
        timeout_graceful_shutdown=GRACE,
        h11_max_incomplete_event_size=HEAD,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn sends them on to this when it has ended
        signal.signal(number, _ended)
    asyncio.run(_Announced(config).serve())


def _ended(_: int, __: FrameType | None) -> None:
    """To be told to stop is no failure of a server; a handler, not SIG_IGN, which its processes would inherit."""


class _Announced(uvicorn.Server):
    """Says where it listens."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                say(f"listens at http://{host if ':' not in host else f'[{host}]'}:{port}")

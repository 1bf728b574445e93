"""The server's addresses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from roadseg.pages.rendering import render
from roadseg.serving.server import described
from roadseg.serving.server.accepted import check_declared, wanted_kind
from roadseg.serving.server.engine import Engine
from roadseg.serving.server.fleet import Fleet
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.metrics import Metrics
from roadseg.serving.server.pictures import TYPES, Kind
from roadseg.serving.server.refusal import Refusal, busy
from roadseg.serving.server.room import Room
from roadseg.serving.server.sampling import Sampler
from roadseg.serving.server.wire import Message

Answered = tuple[Message, Engine, frozenset[str]]  # who answered, and whom else the picture is for


class Server:
    """What the addresses share."""

    def __init__(self, fleet: Fleet, limits: Limits, metrics: Metrics, sampler: Sampler) -> None:
        self.fleet, self.limits, self.metrics, self.sampler = fleet, limits, metrics, sampler
        self.room = Room(limits)
        self._after: set[asyncio.Task[None]] = set()

    async def counted(self, request: Request) -> Response:
        """Answer a picture or refuse it, and count."""
        try:
            response = await self.predict(request)
        except Refusal as refusal:
            response = _refused(refusal)
        except ClientDisconnect:
            self.metrics.gone.inc()
            return Response(status_code=400)  # nobody reads it
        self.metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def predict(self, request: Request) -> Response:
        """Answer a picture.

        Raises:
            Refusal: it is refused, or there is no room.
        """
        began = time.perf_counter()
        kind = wanted_kind(request.headers.get("accept", ""))
        declared = check_declared(request.headers)
        with self.room.place() as held:
            self.fleet.engine()
            picture = await self._body(request, held.read(request.stream(), declared))
            answer, engine, also = await self._answered(request, kind, picture)
        self.metrics.batch.observe(answer.head["batch"])
        for name, pixels in zip(engine.classes.names, answer.head["counts"], strict=True):
            self.metrics.pixels.labels(name).inc(pixels)
        milliseconds = 1000 * (time.perf_counter() - began)
        self.metrics.seconds.labels(kind).observe(milliseconds / 1000)
        if also:
            self._later(picture, answer, engine, also)
        return _response(kind, answer, engine, milliseconds)

    async def _body(self, request: Request, reading: Awaitable[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.limits.body_s):
                return await reading
        except TimeoutError:
            raise Refusal(400, f"the body did not come within {self.limits.body_s:.0f} s", "send it faster") from None

    async def _answered(self, request: Request, kind: Kind, picture: bytes) -> Answered:
        """The answer, unless the client goes away or waits too long."""
        work = asyncio.create_task(self._ask(kind, picture))
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({work, gone}, timeout=self.limits.patience_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if gone.done():
                raise ClientDisconnect
            raise busy(f"no answer in {self.limits.patience_s:.0f} s")
        finally:
            work.cancel()
            gone.cancel()

    async def _ask(self, kind: Kind, picture: bytes) -> Answered:
        engine = self.fleet.engine()
        async with engine.slot():
            also = self.sampler.chosen()
            return await engine.ask({"kind": kind, "sampled": bool(also)}, picture), engine, also

    def _later(self, picture: bytes, answer: Message, engine: Engine, also: frozenset[str]) -> None:
        task = asyncio.create_task(self.sampler.take(picture, answer, engine, also))
        self._after.add(task)
        task.add_done_callback(self._after.discard)


def make_app(server: Server) -> FastAPI:
    """The application; it starts the fleet and ends it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.fleet.start()
        try:
            yield
        finally:
            await server.fleet.stop()
            server.sampler.write()

    app = FastAPI(title="roadseg", lifespan=lifespan, docs_url=None, redoc_url=None, **described.ABOUT)
    _answer_errors(app)

    @app.post("/predict", **described.PREDICT)
    async def predict(request: Request) -> Response:
        return await server.counted(request)

    @app.get("/", **described.PAGE)
    async def page() -> HTMLResponse:
        return HTMLResponse(render("serve.html", most=server.limits.body))

    @app.get("/health", **described.HEALTH)
    async def health() -> dict[str, bool]:
        return {"alive": True}

    @app.get("/ready", **described.READY)
    async def ready() -> dict[str, Any]:
        return {"ready": True, "version": server.fleet.engine().version.version}

    @app.get("/version", **described.VERSION)
    async def version() -> dict[str, Any]:
        return server.fleet.state()

    @app.get("/metrics", **described.METRICS)
    async def metrics() -> Response:
        held = server.room.requests, server.room.bytes
        return Response(server.metrics.exposed(server.fleet, held), media_type=described.PROMETHEUS)

    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return _refused(refusal)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> JSONResponse:
        known = "POST a picture to /predict, or open / in a browser"
        return JSONResponse({"error": str(error.detail), "what_to_do": known}, error.status_code, error.headers)


def _refused(refusal: Refusal) -> JSONResponse:
    headers = {"Retry-After": "1"} if refusal.status == 503 else {}
    return JSONResponse(refusal.content, refusal.status, headers)


def _response(kind: Kind, answer: Message, engine: Engine, milliseconds: float) -> Response:
    version = engine.version.version
    headers = {"X-Roadseg-Version": str(version or ""), "X-Roadseg-Weights": engine.weights}
    if kind != "json":
        return Response(answer.parts[0], headers=headers, media_type=TYPES[kind])
    about = {"version": version, "weights": engine.weights, "milliseconds": round(milliseconds, 2)}
    about |= {name: answer.head[name] for name in ("size", "shares", "confidence")}
    return Response(json.dumps(about), headers=headers, media_type=TYPES[kind])


async def _disconnected(request: Request) -> None:
    """Wait until the client is gone; what else it sends is not looked at."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

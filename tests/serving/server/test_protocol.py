import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from served import waited

from roadseg.contracts.classes import ClassTable
from roadseg.serving.server.app import Server, make_app
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.metrics import Metrics
from roadseg.serving.server.protocol import HEAD, bounded
from roadseg.serving.server.sampling import Sampler
from roadseg.serving.server.wire import Message

POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Type: image/png\r\n"


class Engine:
    """Answers when it is let; knows who asked and who was cancelled."""

    def __init__(self) -> None:
        self.version = SimpleNamespace(version=1, name="version 1")
        self.weights, self.classes = "w" * 64, ClassTable.find("idd-level1")
        self.ended = asyncio.Event()
        self.asked = self.cancelled = 0
        self.free = threading.Event()
        self.answer = b""

    def slot(self) -> Any:
        return self

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, head: dict[str, Any], picture: bytes) -> Message:
        self.asked += 1
        try:
            while not self.free.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        known = {"batch": 1, "counts": [1] * 7, "size": [1, 7], "shares": {}, "confidence": {}}
        return Message(known, [self.answer])


class Fleet:
    """One engine, always."""

    def __init__(self) -> None:
        self.one = Engine()
        self.main = SimpleNamespace(current=self.one, swaps=0, failures=0, restarts=0)
        self.following = None

    def start(self) -> None: ...

    async def stop(self) -> None: ...

    def engine(self) -> Engine:
        return self.one


@contextmanager
def listening(**limits: Any) -> Iterator[tuple[int, Engine, Server]]:
    """A server in a thread, with a model that answers when it is let."""
    bounds, fleet = Limits(**limits), Fleet()
    metrics = Metrics()
    server = Server(fleet, bounds, metrics, Sampler(fleet, metrics))  # type: ignore[arg-type]
    config = uvicorn.Config(
        make_app(server), port=0, http=bounded(bounds), ws="none", log_config=None, h11_max_incomplete_event_size=HEAD
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    waited(lambda: running.started)
    try:
        yield running.servers[0].sockets[0].getsockname()[1], fleet.one, server
    finally:
        fleet.one.free.set()
        running.should_exit = True
        thread.join(30)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def said(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    found = b""
    try:
        while piece := connection.recv(1 << 16):
            found += piece
    except ConnectionResetError:
        pass
    return found


def answered(connection: socket.socket) -> bytes:
    """One whole answer."""
    found = b""
    length = None
    while length is None or len(found) < length:
        piece = connection.recv(1 << 16)
        assert piece, found
        found += piece
        head, end, _ = found.partition(b"\r\n\r\n")
        if end and length is None:
            length = len(head + end) + int(head.lower().partition(b"content-length: ")[2].split()[0])
    return found


def seconds(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start


@pytest.mark.parametrize("sent", [b"", b"POST /predict HT", POST + b"X-Slow: ", POST + b"Content-Length: 9\r\n"])
def test_a_connection_without_a_whole_head_is_closed(sent: bytes) -> None:
    with listening(head_s=0.3) as (port, _, _), closing(connected(port)) as connection:
        connection.sendall(sent)
        assert seconds(lambda: said(connection)) < 10


def test_a_head_that_drips_is_closed() -> None:
    with listening(head_s=0.5) as (port, _, _), closing(connected(port)) as connection:

        def drip() -> None:
            with suppress(OSError):
                while True:
                    connection.sendall(b"G")
                    time.sleep(0.05)

        assert seconds(drip) < 10


def test_after_an_answer_the_next_head_has_as_long() -> None:
    with listening(head_s=0.5) as (port, _, _), closing(connected(port)) as connection:
        for _ in range(2):
            time.sleep(0.2)
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in answered(connection)
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        assert seconds(lambda: said(connection)) < 10


def test_a_slow_body_is_refused_and_closed() -> None:
    with listening(head_s=0.3, body_s=0.3) as (port, engine, _), closing(connected(port)) as connection:
        connection.sendall(POST + b"Content-Length: 1000\r\n\r\nabc")
        answer = said(connection)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"did not come within" in answer
        assert not engine.asked


def test_a_prediction_outlasts_the_seconds_of_a_head() -> None:
    with listening(head_s=0.2) as (port, engine, _), closing(connected(port)) as connection:
        connection.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        time.sleep(0.6)
        engine.free.set()
        assert b"200 OK" in answered(connection)


def test_a_body_that_is_refused_is_not_read_for_ever() -> None:
    with listening(body=1000) as (port, _, _), closing(connected(port)) as connection:
        connection.sendall(POST + b"Content-Length: 9000000000\r\n\r\n")
        assert b"HTTP/1.1 413" in answered(connection)

        def push() -> None:
            with suppress(OSError):
                while True:
                    connection.sendall(b"\0" * 500)

        assert seconds(push) < 10


def test_a_small_body_that_is_refused_leaves_the_connection_usable() -> None:
    with listening(body=10) as (port, engine, _), closing(connected(port)) as connection:
        engine.free.set()
        connection.sendall(POST + b"Content-Length: 20\r\n\r\n" + b"\0" * 20)
        assert b"HTTP/1.1 413" in answered(connection)
        connection.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        assert b"HTTP/1.1 200" in answered(connection)


def test_a_client_that_does_not_take_its_answer_is_closed() -> None:
    with listening(answer_s=0.5) as (port, engine, _), closing(connected(port)) as connection:
        engine.free.set()
        engine.answer = b"\0" * (32 << 20)
        connection.sendall(POST.replace(b"application/json", b"image/png") + b"Content-Length: 3\r\n\r\nabc")
        time.sleep(1.5)
        assert len(said(connection)) < len(engine.answer)


def test_past_the_queue_a_request_gets_a_503_at_once_and_health_answers() -> None:
    with listening(queue=2) as (port, engine, _):
        held = [connected(port) for _ in range(2)]
        for connection in held:
            connection.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        waited(lambda: engine.asked == 2)
        with closing(connected(port)) as third:
            third.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
            answer = answered(third)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in answer.lower()
            third.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in answered(third)
        engine.free.set()
        for connection in held:
            assert b"200 OK" in answered(connection)
            connection.close()


def test_pictures_that_would_fill_the_memory_get_a_503() -> None:
    with listening(held=100) as (port, engine, server):
        with closing(connected(port)) as first, closing(connected(port)) as second:
            first.sendall(POST + b"Content-Length: 80\r\n\r\n" + b"\0" * 80)
            waited(lambda: engine.asked == 1)
            second.sendall(POST + b"Content-Length: 80\r\n\r\n" + b"\0" * 80)
            assert answered(second).startswith(b"HTTP/1.1 503")
        waited(lambda: server.room.bytes == 0)
        assert server.room.requests == 0


def test_a_client_that_goes_away_is_not_predicted_for() -> None:
    with listening() as (port, engine, server):
        with closing(connected(port)) as connection:
            connection.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
            waited(lambda: engine.asked == 1)
        waited(lambda: engine.cancelled == 1)
        waited(lambda: server.room.requests == 0)


def test_a_request_that_waits_too_long_gets_a_503() -> None:
    with listening(patience_s=0.3) as (port, engine, _), closing(connected(port)) as connection:
        connection.sendall(POST + b"Content-Length: 3\r\n\r\nabc")
        assert answered(connection).startswith(b"HTTP/1.1 503")
        waited(lambda: engine.cancelled == 1)


def test_connections_past_the_bound_are_closed_unheard() -> None:
    with listening(connections=2) as (port, _, _):
        held = [connected(port) for _ in range(2)]
        time.sleep(0.2)
        with closing(connected(port)) as third:
            assert said(third) == b""
        for connection in held:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in answered(connection)
            connection.close()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01nonsense\r\n\r\n", b"GET / HTTP/9\r\n\r\n", POST + b"Content-Length: -1\r\n\r\n"]
)
def test_what_is_no_http_gets_a_400_in_json(sent: bytes) -> None:
    with listening() as (port, _, _), closing(connected(port)) as connection:
        connection.sendall(sent)
        head, _, body = said(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert json.loads(body).keys() == {"error", "what_to_do"}


def test_a_head_that_is_too_large_is_refused() -> None:
    with listening() as (port, _, _), closing(connected(port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * (HEAD + 2000))
        assert said(connection).startswith(b"HTTP/1.1 400")

"""HTTP/1.1 whose clients may not dawdle: uvicorn bounds neither a silent connection nor slow headers nor a slow reader.

Bodies are bounded by the application, which alone knows how large one may be.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from roadseg.serving.server.limits import Limits

HEAD = 16 * 1024  # bytes of a request line with its headers


def bounded(limits: Limits) -> type[H11Protocol]:
    """The protocol with these limits, as uvicorn's `http` takes it."""

    class Bounded(BoundedProtocol):
        bounds = limits

    return Bounded


class BoundedProtocol(H11Protocol):
    """Closes a connection that sends no whole head in time, goes on after its answer, or does not take its answer."""

    bounds = Limits()
    _head: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None
    _useless = 0  # bytes of a body that came after its answer
    _served: Any = None  # the request whose head came whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; one too many is closed."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for timer in (self._head, self._answer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; those of a body that was refused are passed over up to a bound, so that its answer is read."""
        if self.cycle and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY:
            self._useless += len(data)
            if self._useless > 4 * self.bounds.body:
                self.transport.abort()
                return
        super().data_received(data)

    def handle_events(self) -> None:
        """Stop the clock when a head is whole."""
        super().handle_events()
        if self.cycle is not None and self.cycle is not self._served:
            self._served = self.cycle
            if self._head and not self.cycle.response_complete:
                self._head.cancel()

    def on_response_complete(self) -> None:
        """Start the clock for the next head, which the rest of this body may not outlast either."""
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """An answer does not fit into the socket: the client has so many seconds to take it."""
        super().pause_writing()
        self._answer = self.loop.call_later(self.bounds.answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken it."""
        if self._answer:
            self._answer.cancel()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the same words as other refusals."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = json.dumps({"error": msg.rstrip("."), "what_to_do": "send a request of HTTP/1.1"}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        try:
            pieces = [h11.Response(status_code=400, headers=headers, reason="Bad Request"), h11.Data(data=body)]
            for event in (*pieces, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # the last answer was the last of this connection
            pass
        self.transport.close()

    def _await_head(self) -> None:
        if self._head:
            self._head.cancel()
        self._useless = 0
        self._head = self.loop.call_later(self.bounds.head_s, self._too_slow)

    def _too_slow(self) -> None:
        """Abort rather than close: closing waits until what was written is taken."""
        self.transport.abort()

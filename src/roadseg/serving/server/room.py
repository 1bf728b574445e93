"""How much the server holds at once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from roadseg.serving.server.limits import Limits
from roadseg.serving.server.refusal import Refusal, busy


class Room:
    """Counts requests that are held, and the bytes of their pictures."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = self.bytes = 0

    @contextmanager
    def place(self) -> Iterator["Held"]:
        """A place for one request.

        Raises:
            Refusal: 503, all are taken.
        """
        if self.requests >= self._limits.queue:
            raise busy(f"{self.requests} requests are waiting already")
        self.requests += 1
        held = Held(self, self._limits)
        try:
            yield held
        finally:
            self.requests -= 1
            self.bytes -= held.bytes


class Held:
    """The picture of one request as it comes."""

    def __init__(self, room: Room, limits: Limits) -> None:
        self._room, self._limits, self.bytes = room, limits, 0

    async def read(self, stream: AsyncIterator[bytes], declared: int) -> bytes:
        """Read a body.

        Args:
            stream: its pieces.
            declared: its length, bytes, as the client says; 0 where it does not.

        Raises:
            Refusal: 400 empty, 413 too long, 503 no room.
        """
        self._check(declared)
        body = bytearray()
        async for piece in stream:
            self._check(len(body) + len(piece))
            self.bytes += len(piece)
            self._room.bytes += len(piece)
            body += piece
        if not body:
            raise Refusal(400, "the body is empty", "send the bytes of a JPEG, PNG or WebP file as the request's body")
        return bytes(body)

    def _check(self, length: int) -> None:
        if length > self._limits.body:
            raise Refusal(413, f"the body is over {self._limits.body} bytes", "send the picture smaller")
        if self._room.bytes - self.bytes + length > self._limits.held:
            raise busy("the pictures that are waiting fill the memory set aside for them")

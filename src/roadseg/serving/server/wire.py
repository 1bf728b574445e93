"""Messages between the server and a process that predicts: a JSON object and a few byte strings.

On the wire: the number of bytes of each part, 4 bytes each, big endian, after how many parts there are.
"""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

COUNT, LENGTH = struct.Struct(">I"), 4


@dataclass(frozen=True)
class Message:
    """One message; `head` is plain values, `parts` bytes."""

    head: dict[str, Any]
    parts: list[bytes] = field(default_factory=list)

    def encoded(self) -> list[bytes]:
        """The pieces to send, in order."""
        pieces = [json.dumps(self.head).encode(), *self.parts]
        return [COUNT.pack(len(pieces)) + b"".join(COUNT.pack(len(piece)) for piece in pieces), *pieces]

    @classmethod
    def decoded(cls, pieces: list[bytes]) -> "Message":
        """What `encoded` made."""
        return cls(json.loads(pieces[0]), pieces[1:])


async def receive(reader: asyncio.StreamReader) -> Message:
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
    """
    (count,) = COUNT.unpack(await reader.readexactly(LENGTH))
    lengths = struct.unpack(f">{count}I", await reader.readexactly(LENGTH * count))
    return Message.decoded([await reader.readexactly(length) for length in lengths])


class Line:
    """The predicting process's end of the socket; one thread may send while another receives."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._stream = self._socket.makefile("rb")

    def send(self, message: Message) -> None:
        """Send; two threads must not at once."""
        self._socket.sendall(b"".join(message.encoded()))

    def receive(self) -> Message | None:
        """The next message, or None where the other side is gone."""
        if len(counted := self._stream.read(LENGTH)) < LENGTH:
            return None
        (count,) = COUNT.unpack(counted)
        lengths = struct.unpack(f">{count}I", self._stream.read(LENGTH * count))
        return Message.decoded([self._stream.read(length) for length in lengths])

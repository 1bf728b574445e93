"""Clients of a server of masks: honest ones, and those that break off, lie and dawdle."""

import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

PATIENCE = 120.0  # seconds for an answer
Check = Callable[[int, dict[str, str], bytes], bool]  # of picture, headers and body: whether the answer is right


@dataclass
class Tally:
    """What honest clients got: answers by status and by version, wrong ones, requests without any, and seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """For the benchmark's JSON."""
        return {
            "statuses": {str(status): number for status, number in sorted(self.statuses.items())},
            "versions": dict(sorted(self.versions.items())),
            "hostile": dict(sorted(self.hostile.items())),
            "wrong": self.wrong,
            "lost": self.lost,
        }


def honest(port: int, pictures: list[bytes], check: Check, over: threading.Event, tally: Tally, seed: int) -> None:
    """Ask without a pause until it is over, over one connection; after a refusal wait a little."""
    rng, connection = random.Random(seed), HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    while not over.is_set():
        number = rng.randrange(len(pictures))
        start = time.monotonic()
        try:
            connection.request("POST", "/predict", pictures[number], {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            body, headers = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        except (OSError, HTTPException):
            tally.lost += 1
            connection.close()
            continue
        tally.statuses[answer.status] += 1
        if answer.status == 200:
            tally.seconds.append(time.monotonic() - start)
            tally.versions[headers["x-roadseg-version"]] += 1
            tally.wrong += not check(number, headers, body)
        else:
            time.sleep(0.2)
    connection.close()


def bomb() -> bytes:
    """A PNG of a hundred bytes that says it has 3.6 gigapixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pieces = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


def hostile(port: int, picture: bytes, over: threading.Event, tally: Tally, seed: int) -> None:
    """Do something bad after the other, each on a connection of its own; notes what came back."""
    rng = random.Random(seed)
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    whole = {
        "truncated": picture[: len(picture) // 2],
        "bomb": bomb(),
        "no picture": rng.randbytes(3000),
        "empty": b"",
    }
    while not over.is_set():
        kind = rng.choice([*whole, "huge", "gone", "slow head", "slow body", "wrong type"])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                tally.hostile[f"{kind}: {_misbehave(connection, kind, whole, picture, head, over)}"] += 1
        except OSError:
            tally.hostile[f"{kind}: closed"] += 1
        time.sleep(0.05)


def _misbehave(
    connection: socket.socket, kind: str, whole: dict[str, bytes], picture: bytes, head: bytes, over: threading.Event
) -> str:
    if kind in whole:
        body = whole[kind]
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    elif kind == "huge":
        connection.sendall(head + b"Content-Length: 9000000000\r\n\r\n" + b"\0" * 100_000)
    elif kind == "wrong type":
        connection.sendall(head.replace(b"image/jpeg", b"text/html") + b"Content-Length: 3\r\n\r\nabc")
    elif kind == "gone":
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(picture) + picture)
        return "left"
    else:
        connection.sendall(head if kind == "slow head" else head + b"Content-Length: 1000\r\n\r\n")
        while not over.is_set():  # until the server has enough of it
            connection.sendall(b"X" if kind == "slow body" else b"X: y\r\n")
            time.sleep(0.5)
        return "let be"
    return connection.recv(1 << 16).split(b" ", 2)[1].decode()

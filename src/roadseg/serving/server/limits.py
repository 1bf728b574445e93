"""What one client may ask of the server, and all of them together."""

from dataclasses import dataclass

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds that hold before anything is decoded.

    Attributes:
        body: bytes of a picture's file.
        pixels: of a picture; scores at full size take 4 bytes a pixel and class.
        answer: bytes of probabilities, which are the largest answer.
        queue: requests that are held at once, those being predicted among them.
        held: bytes of their pictures together.
        head_s: seconds for a whole request line and its headers, also those of a connection that says nothing.
        body_s: seconds for a body.
        answer_s: seconds for a client to take its answer.
        patience_s: seconds from a whole body to an answer.
        connections: at once; one more is closed unheard.
    """

    body: int = 16 * MEGABYTE
    pixels: int = 12_000_000
    answer: int = 64 * MEGABYTE
    queue: int = 64
    held: int = 256 * MEGABYTE
    head_s: float = 10.0
    body_s: float = 20.0
    answer_s: float = 30.0
    patience_s: float = 60.0
    connections: int = 512

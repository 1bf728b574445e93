"""What a client says of its picture and of the answer it wants."""

from collections.abc import Mapping

from roadseg.serving.server.pictures import SEND, TYPES, Kind
from roadseg.serving.server.refusal import Refusal

PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
UNSAID = "", "application/x-www-form-urlencoded"  # the second is what curl says of any body
KINDS: dict[str, Kind] = {media: kind for kind, media in TYPES.items()}
ANY: dict[str, Kind] = {"*/*": "png", "image/*": "png", "application/*": "json"}


def wanted_kind(accept: str) -> Kind:
    """The answer that `Accept` prefers among ours; PNG where it says nothing.

    Raises:
        Refusal: 400, it takes none of ours.
    """
    ranked = []
    for position, part in enumerate(accept.lower().split(",")):
        media, *options = (each.strip() for each in part.split(";"))
        quality = next((_quality(option[2:]) for option in options if option.startswith("q=")), 1.0)
        if quality > 0 and (kind := KINDS.get(media) or ANY.get(media)):
            ranked.append((-quality, media in ANY, position, kind))
    if ranked:
        return min(ranked)[-1]
    if accept.strip():
        raise Refusal(400, "Accept names no answer that there is", f"accept one of {', '.join(TYPES.values())}")
    return "png"


def check_declared(headers: Mapping[str, str]) -> int:
    """Refuse what is said to be no picture.

    Returns:
        The length of the body, 0 where it is not said.

    Raises:
        Refusal: 415, another type, or compressed.
    """
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in UNSAID and media not in PICTURES:
        raise Refusal(415, f"Content-Type is {media[:80]!r}", f"{SEND}, as one of {', '.join(PICTURES)}")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(415, "the body is compressed", SEND)
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0

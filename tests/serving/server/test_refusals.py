import struct
import zlib
from typing import TYPE_CHECKING

import pytest
from served import Answer, picture

if TYPE_CHECKING:
    from conftest import Champion


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def assert_refused(answer: Answer, status: int, said: str) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), answer.body[:300]
    assert said in answer.json["error"]
    assert answer.json["what_to_do"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"no picture", 415, "no JPEG"),
        (b"GIF89a" + b"\0" * 100, 415, "no JPEG"),
        (picture(0)[:2000], 422, "broken"),
        (picture(0, form="JPEG")[:900], 422, "broken"),
        (picture(0, form="WEBP", lossless=True)[:900], 422, "broken"),
        (bomb(60_000, 60_000), 413, "pixels"),
        (bomb(3000, 3000), 422, "broken"),
        (b"\0" * (17 << 20), 413, "bytes"),
    ],
    ids=["empty", "text", "gif", "png", "jpeg", "webp", "bomb", "small bomb", "long"],
)
def test_what_is_no_picture_in_bounds_is_refused(champion: "Champion", body: bytes, status: int, said: str) -> None:
    assert_refused(champion.served.predict(body), status, said)
    assert champion.served.predict(picture(0)).status == 200


def test_probabilities_of_a_large_picture_are_refused(champion: "Champion") -> None:
    answer = champion.served.predict(picture(0, 2400, 2400, "JPEG"), "application/x-npy")
    assert_refused(answer, 413, "probabilities")


@pytest.mark.parametrize("media", ["application/json", "text/plain", "multipart/form-data; boundary=x", "image/tiff"])
def test_a_body_of_another_type_is_refused(champion: "Champion", media: str) -> None:
    assert_refused(champion.served.send("POST", "/predict", picture(0), Content_Type=media), 415, "Content-Type")


def test_a_compressed_body_is_refused(champion: "Champion") -> None:
    body = zlib.compress(picture(0))
    assert_refused(champion.served.send("POST", "/predict", body, Content_Encoding="deflate"), 415, "compressed")


def test_an_answer_that_there_is_none_of_is_refused(champion: "Champion") -> None:
    assert_refused(champion.served.predict(picture(0), "text/html"), 400, "Accept")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("GET", "/secret", 404)])
def test_what_is_not_there_says_what_is(champion: "Champion", method: str, path: str, status: int) -> None:
    answer = champion.served.send(method, path)
    assert answer.status == status
    assert "/predict" in answer.json["what_to_do"]


def test_refusals_are_counted_by_status(champion: "Champion") -> None:
    champion.served.predict(b"")
    metrics = champion.served.get("/metrics")
    assert 'roadseg_requests_total{status="400"}' in metrics.body.decode()
    assert metrics.headers["content-type"].startswith("text/plain")

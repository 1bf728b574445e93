"""What can be lived with, in real files: each fault is warned of by its own expectation, and the data are accepted."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from judging import MANIFEST, SCAN, flagged, judge, passed, said, scan_and_judge
from PIL import Image

from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.reference import write_reference

Fault = Callable[[Path], str]
FIRST = "leftImg8bit/train"


def resized(raw: Path, width: int, height: int) -> Path:
    """The first image of train, it and its mask resized."""
    image = min((raw / FIRST).glob("*/*"))
    mask = Path(str(image).replace("leftImg8bit", "gtFine").replace("_image.jpg", "_label.png"))
    for path in (image, mask):
        Image.open(path).resize((width, height), Image.Resampling.NEAREST).save(path)
    return image


def large(raw: Path) -> str:
    return f"{resized(raw, 960, 681)}: 960x681 is 9 times the usual number of pixels; look at it"


def small(raw: Path) -> str:
    return f"{resized(raw, 160, 114)}: 160x114 is 0.25 times the usual number of pixels; look at it"


def narrow(raw: Path) -> str:
    return f"{resized(raw, 200, 227)}: 200x227 is 0.62 times as wide for its height as usual; look at it"


def flat(raw: Path) -> str:
    return f"{resized(raw, 320, 140)}: 320x140 is 1.6 times as wide for its height as usual; look at it"


def overexposed(raw: Path) -> str:
    """White but for a hundredth of the pixels, so that it is sharp."""
    image = min((raw / FIRST).glob("*/*"))
    noise = np.random.default_rng(0).random((227, 320, 1)) < 0.01
    Image.fromarray(np.where(noise, 60, 255).astype(np.uint8).repeat(3, 2)).save(image, quality=95)
    return f"{image}: is overexposed (mean brightness 0.99); look at it"


def without_living_things(raw: Path) -> str:
    """They are ground in train, and still there in val."""
    for mask in (raw / "gtFine/train").glob("*/*"):
        ids = np.array(Image.open(mask))
        Image.fromarray(np.where(ids == 2, np.uint8(0), ids)).save(mask)
    return "data/raw: class living-things never occurs in train, so it cannot be learned; add samples or drop it"


WARNED = {
    large: "size_usual",
    small: "size_usual",
    narrow: "aspect_usual",
    flat: "aspect_usual",
    overexposed: "overexposed",
    without_living_things: "class_in_train",
}


@pytest.mark.parametrize("fault", WARNED, ids=lambda fault: fault.__name__)
def test_a_strange_file_is_warned_of_by_one_expectation_and_accepted(
    raw: Path, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    reason = fault(raw)
    scan_and_judge()
    (line,) = said(capsys.readouterr().out, "warning")
    assert line.startswith(f"warning: {reason}")
    assert [(entry["expectation"], entry["severity"]) for entry in flagged()] == [(WARNED[fault], "warning")]
    assert passed()
    assert read_manifest(MANIFEST).rows == read_manifest(SCAN, "scan").rows


def test_masks_whose_shares_moved_since_the_last_acceptance_are_warned_of(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan_and_judge()
    write_reference(Path("data/reference.json"), read_manifest(MANIFEST))
    judge()
    assert said(capsys.readouterr().out, "warning") == [], "nothing has moved"
    for mask in (raw / "gtFine/val").glob("*/*"):
        ids = np.array(Image.open(mask))
        ids[:, 100:] = 5
        Image.fromarray(ids).save(mask)
    scan_and_judge()
    (line,) = said(capsys.readouterr().out, "warning")
    moved = re.fullmatch(
        r"warning: data/raw: split val: class shares moved by (\d+)% since the last accepted data; look at it", line
    )
    assert moved
    assert 50 < int(moved[1]) < 70, "at most the share that was painted over, 69%"
    assert [entry["expectation"] for entry in flagged()] == ["class_shares"]
    assert passed()

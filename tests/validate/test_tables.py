"""Real masks under a class table that is not theirs: refused, with what they hold and how many of them."""

from pathlib import Path

import numpy as np
import pytest
from judging import MANIFEST, flagged, passed, said, scan_and_judge
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import read_manifest
from roadseg.validate import stage

CLASSES = Path("data/classes.yaml")
SHOWN = 3  # lines on the screen, here
STRANGE = (255, 0, 255)


@pytest.fixture
def painted(raw: Path, idd_level1: ClassTable) -> list[Path]:
    """The masks of data/raw in the colours of their classes, void in black, under a table that says so."""
    content = idd_level1.content | {"name": "painted", "source": "color", "void_colors": [[0, 0, 0]]}
    ClassTable.model_validate(content).write(CLASSES)
    masks = sorted(raw.glob("gtFine/*/*/*"))
    for mask in masks:
        Image.fromarray(idd_level1.palette[np.asarray(Image.open(mask))]).save(mask)
    return masks


def test_masks_in_the_colours_of_their_table_are_accepted(painted: list[Path]) -> None:
    scan_and_judge()
    assert (passed(), flagged()) == (True, [])
    assert len([row for row in read_manifest(MANIFEST).records() if row["mask"]]) == len(painted)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_an_unknown_colour_is_named_with_its_count_and_the_first_files(
    painted: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(stage, "SHOWN", SHOWN)
    for mask in painted[:count]:
        colours = np.array(Image.open(mask))
        colours[0, 0] = STRANGE
        Image.fromarray(colours).save(mask)
    with pytest.raises(DataRefused, match="refused by ids_in_table: "):
        scan_and_judge()
    lines = said(capsys.readouterr().out, "critical")
    reason = f"holds colours outside painted: #ff00ff (masks that hold them: #ff00ff in {count}); import with another"
    for mask, line in zip(painted[: min(count, SHOWN)], lines[:SHOWN], strict=True):
        assert line.startswith(f"critical: {mask}: {reason}")
    assert lines[SHOWN:] == [f"critical: and {count - SHOWN} more in reports/flagged.parquet"] * (count > SHOWN)
    assert [f"data/raw/{entry['reason'].split(': ')[0]}" for entry in flagged()] == [
        str(mask) for mask in painted[:count]
    ]
    assert not MANIFEST.exists()


def test_a_colour_one_step_off_is_another_colour(painted: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    colours = np.array(Image.open(painted[0]))
    red, green, blue = colours[0, 0] = colours[0, 0] + 1
    Image.fromarray(colours).save(painted[0])
    with pytest.raises(DataRefused, match="ids_in_table"):
        scan_and_judge()
    assert f"outside painted: #{red:02x}{green:02x}{blue:02x} (masks" in capsys.readouterr().out


@pytest.mark.parametrize(("foreground", "absent"), [(1, "92%"), (255, "96%")])
def test_a_binary_set_declared_with_26_classes_is_refused(
    raw: Path, capsys: pytest.CaptureFixture[str], foreground: int, absent: str
) -> None:
    ClassTable.find("idd-level3").write(CLASSES)
    for mask in raw.glob("gtFine/*/*/*"):
        ids = np.asarray(Image.open(mask))
        Image.fromarray(np.where(ids == 0, np.uint8(foreground), np.uint8(0))).save(mask)
    with pytest.raises(DataRefused, match="refused by table_fits: "):
        scan_and_judge()
    assert said(capsys.readouterr().out, "critical") == [
        f"critical: data/raw: {absent} of the classes of idd-level3 never occur in train; is it the right table? "
        "Import with --classes"
    ]
    assert not MANIFEST.exists()

    ClassTable.find("road").write(CLASSES)
    scan_and_judge()
    assert passed(), "under a table of two classes the same files are good"

"""Flagged samples are left out by name or by expectation, come back, and the data are never touched."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.contracts.quarantine import Quarantined, read_quarantine, write_quarantine
from roadseg.contracts.verdict import Flagged, write_flagged
from roadseg.intake.quarantine import quarantine, restore

SIZE = [f"train/1/{number}" for number in range(300)]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scan of 400 samples of which 300 have a mask of another size and two are dark."""
    monkeypatch.chdir(tmp_path)
    names = [f"train/1/{number}" for number in range(400)]
    rows = [{"sample": name, "split": "train", "image_sha": f"of {name}"} for name in names]
    write_manifest(Path("data/scan.parquet"), "scan", from_rows(rows, "idd-lite", ClassTable.find("road")))
    flagged = [Flagged(name, "mask_size", "critical", f"{name}.png: is small") for name in SIZE]
    flagged += [Flagged(name, "dark", "warning", f"{name}.jpg: is dark") for name in names[299:301]]
    flagged += [Flagged(None, "splits_there", "critical", "split val holds no sample")]
    write_flagged(Path("reports/flagged.parquet"), flagged)
    write_quarantine(paths.QUARANTINE, [])
    return tmp_path


def listed() -> dict[str, str]:
    return {entry.sample: entry.reason for entry in read_quarantine(paths.QUARANTINE)}


def test_all_that_an_expectation_flagged_are_left_out_with_its_words_and_come_back(tree: Path) -> None:
    assert len(quarantine(tree, [], "mask_size", "")) == 300
    assert listed() == {name: f"mask_size: {name}.png: is small" for name in SIZE}
    assert [entry.image_sha for entry in read_quarantine(paths.QUARANTINE)] == [f"of {name}" for name in sorted(SIZE)]
    assert len(restore(tree, [], "mask_size", False)) == 300
    assert listed() == {}


def test_a_reason_of_ones_own_keeps_the_expectation_by_which_to_restore(tree: Path) -> None:
    quarantine(tree, [], "dark", "night drive")
    assert set(listed().values()) == {"dark: night drive"}
    assert len(restore(tree, [], "dark", False)) == 2


def test_a_list_that_a_spreadsheet_saved_is_read(tree: Path) -> None:
    paths.QUARANTINE.write_bytes(b"\xef\xbb\xbfsample,image_sha,reason\r\ntrain/1/1,,fog\r\n")
    assert listed() == {"train/1/1": "fog"}


def test_samples_are_left_out_by_name_with_a_reason_and_come_back_by_name(tree: Path) -> None:
    quarantine(tree, ["train/1/7", "train/1/399"], None, "rain, on the lens")
    assert listed() == dict.fromkeys(["train/1/399", "train/1/7"], "rain, on the lens")
    restore(tree, ["train/1/7"], None, False)
    assert listed() == {"train/1/399": "rain, on the lens"}


def test_leaving_out_twice_adds_nothing_and_keeps_what_is_listed(tree: Path) -> None:
    quarantine(tree, ["train/1/399"], None, "")
    quarantine(tree, [], "dark", "")
    before = paths.QUARANTINE.read_bytes()
    assert quarantine(tree, [], "dark", "") == []
    assert paths.QUARANTINE.read_bytes() == before
    assert len(listed()) == 3


@pytest.mark.parametrize(
    ("samples", "expectation", "message"),
    [
        (["train/1/7", "train/9/1"], None, "no sample train/9/1; names stand in reports/flagged.parquet"),
        ([], "blurred", "blurred flagged no sample; those that did: dark, mask_size"),
        ([], "splits_there", "splits_there flagged no sample"),
        ([], None, "name samples, or an --expectation"),
    ],
)
def test_what_cannot_be_left_out_is_said_and_nothing_changes(
    tree: Path, samples: list[str], expectation: str | None, message: str
) -> None:
    quarantine(tree, ["train/1/1"], None, "")
    before = paths.QUARANTINE.read_bytes()
    with pytest.raises(UsageError, match=message):
        quarantine(tree, samples, expectation, "")
    assert paths.QUARANTINE.read_bytes() == before


@pytest.mark.parametrize(
    ("samples", "expectation", "message"),
    [
        (["train/1/7"], None, "train/1/7 is not in quarantine"),
        ([], "dark", "nothing to restore"),
        ([], None, "nothing to restore"),
    ],
)
def test_what_is_not_listed_cannot_come_back(
    tree: Path, samples: list[str], expectation: str | None, message: str
) -> None:
    quarantine(tree, ["train/1/1"], None, "")
    with pytest.raises(UsageError, match=message):
        restore(tree, samples, expectation, False)
    assert len(listed()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"sample,image_sha\na,b\n", "the first line must be sample,image_sha,reason"),
        (b"sample,image_sha,reason\na,b\n", "line 2 must have 3 fields"),
        (b"sample,image_sha,reason\na,b,c,d\n", "line 2 must have 3 fields"),
        (b'sample,image_sha,reason\na,b,"c\n', "is not valid CSV in UTF-8"),
        (b"sample,image_sha,reason\n\xff,b,c\n", "is not valid CSV in UTF-8"),
    ],
)
def test_a_damaged_list_is_refused_and_kept(tree: Path, content: bytes, message: str) -> None:
    paths.QUARANTINE.write_bytes(content)
    with pytest.raises(UsageError, match=f"data/quarantine.csv: {message}|data/quarantine.csv {message}"):
        quarantine(tree, ["train/1/1"], None, "")
    assert paths.QUARANTINE.read_bytes() == content


def test_names_with_commas_quotes_and_lines_come_back_as_they_were(tmp_path: Path) -> None:
    entries = [Quarantined('a,"b', "", "two\nlines"), Quarantined("ü/é", "f", "")]
    write_quarantine(tmp_path / "list.csv", entries)
    assert read_quarantine(tmp_path / "list.csv") == entries


def test_the_verbs_say_what_they_did(tree: Path) -> None:
    run = CliRunner().invoke
    assert "no sample is left out" in run(app, ["data", "quarantine"]).output
    assert "samples left out from now on: 2" in run(app, ["data", "quarantine", "--expectation", "dark"]).output
    assert "is dark" in run(app, ["data", "quarantine"]).output
    assert "samples back in: 2" in run(app, ["data", "restore", "--all"]).output

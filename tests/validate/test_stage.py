import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from judging import MANIFEST, SCAN, flagged, judge, passed, scan_and_judge
from PIL import Image
from trees import scan_params
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.intake.quarantine import quarantine
from roadseg.scan.stage import run as scan
from roadseg.validate import stage
from roadseg.validate.rules import Rule, of_samples

Fault = tuple[Callable[[Path], Path], str, str]


def first(raw: Path, folder: str) -> Path:
    return min((raw / folder).glob("*/*"))


def test_faulty_data_are_refused_by_file_and_reason_and_accepted_when_repaired(
    raw: Path, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    break_it, expectation, reason = fault
    shutil.copytree(raw, "good")
    broken = break_it(raw)
    with pytest.raises(DataRefused, match=f"refused by {expectation}: ") as caught:
        scan_and_judge()
    assert caught.value.exit_code == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"critical: {broken}: ")]
    assert any(reason in line for line in lines)
    assert not passed()
    entries = [entry for entry in flagged() if f"data/raw/{entry['reason']}".startswith(f"{broken}: ")]
    assert {(entry["expectation"], entry["severity"]) for entry in entries} == {(expectation, "critical")}
    assert reason in entries[0]["reason"]
    assert not MANIFEST.exists()

    shutil.rmtree(raw)
    Path("good").rename(raw)
    scan_and_judge()
    assert (passed(), flagged()) == (True, [])
    assert read_manifest(MANIFEST).rows == read_manifest(SCAN, "scan").rows


def test_faulty_samples_in_quarantine_let_the_rest_pass_and_the_data_stay_as_they_are(raw: Path, fault: Fault) -> None:
    break_it, expectation, _ = fault
    break_it(raw)
    before = {path: digest_file(path) for path in raw.rglob("*") if path.is_file()}
    with pytest.raises(DataRefused):
        scan_and_judge()
    left_out = quarantine(Path.cwd(), [], expectation, "")
    judge()
    kept = {row["sample"] for row in read_manifest(MANIFEST).records()}
    assert kept
    if expectation != "sample_unique":  # the other file of that name is one sample now, and stays
        assert not kept & {entry.sample for entry in left_out}
    assert {path: digest_file(path) for path in raw.rglob("*") if path.is_file()} == before


def test_without_its_expectation_a_fault_is_not_flagged(
    raw: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    break_it, dropped, _ = fault

    def fewer(*arguments: Any) -> dict[str, Rule]:
        return {name: rule for name, rule in of_samples(*arguments).items() if name != dropped}

    monkeypatch.setattr(stage.rules, "of_samples", fewer)
    break_it(raw)
    scan_and_judge()
    assert (passed(), flagged()) == (True, [])


def test_data_without_a_validation_split_are_refused(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("leftImg8bit", "gtFine"):
        shutil.rmtree(raw / kind / "val")
    with pytest.raises(DataRefused, match="splits_there"):
        scan_and_judge()
    assert "critical: data/raw: split val holds no sample; add some" in capsys.readouterr().out
    assert not passed()
    assert not MANIFEST.exists()


def test_a_dark_image_and_a_void_mask_are_warned_of_and_accepted(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = first(raw, "leftImg8bit/train"), first(raw, "gtFine/val")
    Image.new("RGB", (320, 227)).save(image)
    Image.new("L", (320, 227), 255).save(mask)
    scan_and_judge()
    printed = capsys.readouterr().out
    assert f"warning: {image}: is dark (mean brightness 0.00); look at it" in printed
    assert f"warning: {mask}: 100% of the pixels are void; look at it" in printed
    assert [(entry["expectation"], entry["severity"]) for entry in flagged()] == [
        ("dark", "warning"),
        ("blurred", "warning"),
        ("void_share", "warning"),
    ]
    assert passed()
    assert len(read_manifest(MANIFEST).records()) == len(read_manifest(SCAN, "scan").records())


def test_a_quarantined_sample_is_left_out_and_its_fault_with_it(raw: Path) -> None:
    image, mask = first(raw, "leftImg8bit/train"), first(raw, "gtFine/train")
    mask.unlink()
    sample = "/".join(image.parts[-3:]).removesuffix("_image.jpg")
    Path("data/quarantine.csv").write_text(f"sample,image_sha,reason\n{sample},{digest_file(image)},bad mask\n")
    scan_and_judge()
    kept = [row["sample"] for row in read_manifest(MANIFEST).records()]
    assert sorted([*kept, sample]) == [row["sample"] for row in read_manifest(SCAN, "scan").records()]


@pytest.mark.parametrize("named", [["train/{}"], ["--expectation", "mask_present"], ["--all"]], ids=lambda it: it[0])
def test_a_sample_that_is_restored_is_judged_again(raw: Path, named: list[str]) -> None:
    mask = first(raw, "gtFine/train")
    mask.unlink()
    place = f"{mask.parent.name}/{mask.name.removesuffix('_label.png')}"
    with pytest.raises(DataRefused):
        scan_and_judge()
    refused = flagged()
    assert CliRunner().invoke(app, ["data", "quarantine", "--expectation", "mask_present"]).exit_code == 0
    judge()
    assert (passed(), flagged()) == (True, [])
    done = CliRunner().invoke(app, ["data", "restore", *(word.format(place) for word in named)])
    assert (done.exit_code, done.stdout) == (0, "samples back in: 1; next: dvc repro\n")
    with pytest.raises(DataRefused, match="refused by mask_present: "):
        judge()
    assert (passed(), flagged()) == (False, refused)
    assert not MANIFEST.exists()


def test_a_quarantined_sample_with_another_image_is_judged_again(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = first(raw, "leftImg8bit/train"), first(raw, "gtFine/train")
    mask.unlink()
    sample = "/".join(image.parts[-3:]).removesuffix("_image.jpg")
    Path("data/quarantine.csv").write_text(f"sample,image_sha,reason\n{sample},of another,bad mask\n")
    with pytest.raises(DataRefused, match="mask_present"):
        scan_and_judge()
    assert "warning: data/quarantine.csv: 1 entries name no sample, or another image" in capsys.readouterr().out


def test_a_refusal_leaves_no_manifest_of_an_earlier_acceptance(raw: Path) -> None:
    scan_and_judge()
    first(raw, "gtFine/train").unlink()
    with pytest.raises(DataRefused):
        scan_and_judge()
    assert not MANIFEST.exists()


@pytest.mark.parametrize("name", ["quarantine.csv", "reference.json"])
def test_a_list_that_is_missing_is_named(raw: Path, name: str) -> None:
    scan(scan=scan_params())
    (Path("data") / name).unlink()
    with pytest.raises(UsageError, match=f"data/{name} is missing: `roadseg data import` writes it"):
        judge()


def test_where_all_samples_are_quarantined_the_data_are_refused(raw: Path) -> None:
    scan(scan=scan_params())
    rows = "".join(f"{row['sample']},,x\n" for row in read_manifest(SCAN, "scan").records())
    Path("data/quarantine.csv").write_text("sample,image_sha,reason\n" + rows)
    with pytest.raises(DataRefused, match="splits_there"):
        judge()


def test_a_quarantine_list_without_its_heading_is_refused_by_name(raw: Path) -> None:
    Path("data/quarantine.csv").write_text("train/1/2\ntrain/1/3\n")
    with pytest.raises(UsageError, match=r"data/quarantine\.csv: the first line must be sample,image_sha,reason"):
        scan_and_judge()


def test_a_threshold_that_accepts_the_same_rows_writes_the_same_bytes(raw: Path) -> None:
    scan_and_judge()
    before = MANIFEST.read_bytes()
    judge(brightness_max=0.05, brightness_min=0.01, void_max=0.9)
    assert {entry["expectation"] for entry in flagged()} == {"overexposed"}
    assert MANIFEST.read_bytes() == before


def test_equal_data_are_judged_into_equal_bytes(raw: Path) -> None:
    first(raw, "gtFine/train").unlink()
    reports = []
    for _ in range(2):
        with pytest.raises(DataRefused):
            scan_and_judge()
        reports.append([path.read_bytes() for path in stage.WRITES[1:]])
    assert reports[0] == reports[1]


def test_every_failing_sample_is_in_the_table_and_ten_and_a_count_on_the_screen(
    raw: Path, idd_level1: ClassTable, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"sample": f"{split}/{number}", "split": split, "image": f"{number:03d}.jpg", "error": f"{number:03d}.jpg: cut"}
        for split, number in [("train", 0), ("val", 1), *(("test", number) for number in range(2, 300))]
    ]
    write_manifest(SCAN, "scan", from_rows(rows, "idd-lite", idd_level1))
    with pytest.raises(DataRefused):
        judge()
    assert {entry["sample"] for entry in flagged() if entry["expectation"] == "files_decode"} == {
        row["sample"] for row in rows
    }
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("critical: ")]
    assert len(lines) == stage.SHOWN + 1
    assert lines[-1].startswith(f"critical: and {len(flagged()) - stage.SHOWN} more in reports/flagged.parquet")

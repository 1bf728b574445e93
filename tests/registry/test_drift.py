import shutil
from pathlib import Path
from typing import Any

import pytest
from contenders import GOOD, Contenders

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file, home
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.drift.limits import DISTANCE, LEVEL
from roadseg.drift.reference import NAME
from roadseg.registry import drift
from roadseg.registry.versions import CHAMPION, MODEL
from roadseg.tracking.store import artifact_names

LIMITS = {"level": LEVEL, "distance": DISTANCE, "most": 1000}


def trained_on(tree: Path, rows: int = 10) -> list[dict[str, Any]]:
    """Turn the first val images of a tree into training images; what a model that saw them keeps of them."""
    path = tree / "data/manifest.parquet"
    manifest = read_manifest(path)
    records = sorted(manifest.records(), key=lambda row: row["drive"])
    for row in records:  # the bytes are looked at here, and nowhere else where contenders are judged
        row["image_sha"] = digest_file(tree / "data/raw" / row["image"])
    for row in records[:rows]:
        row |= {"split": "train", "sample": row["sample"].replace("val/", "train/")}
    write_manifest(path, "manifest", from_rows(records, manifest.layout, manifest.classes))
    return [{key: row[key] for key in ("sample", "drive", "image_sha", "phash")} for row in records[:rows]]


@pytest.fixture
def champion(contenders: Contenders) -> int:
    version = contenders.enter(GOOD, seen=trained_on(contenders.tree))
    contenders.client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    return version


@pytest.fixture
def new(judged_tree: Path, tmp_path: Path) -> Path:
    """Pictures that the champion knows, as if they were new."""
    folder = tmp_path / "new"
    for row in read_manifest(judged_tree / "data/manifest.parquet").records():
        (folder / row["drive"]).mkdir(parents=True, exist_ok=True)
        shutil.copy(judged_tree / "data/raw" / row["image"], folder / row["drive"])
    return folder


def test_the_reference_is_made_once_kept_with_the_run_and_then_needs_no_images(
    contenders: Contenders, champion: int, new: Path
) -> None:
    seen = drift.look_for_drift(new, [contenders.tree], **LIMITS)
    assert seen.version == champion
    assert seen.finding.drifted == []
    assert seen.finding.frames == 32
    train, val = (seen.reference.split(split) for split in ("train", "val"))
    assert (train["drive"].nunique(), len(train)) == (5, 10)
    assert (val["drive"].nunique(), len(val)) == (11, 22)
    assert val["confidence"].notna().all()
    run_id = contenders.entered[champion].run_id
    assert artifact_names(contenders.client, run_id, "drift") == {NAME}
    shutil.rmtree(home() / "reuse", ignore_errors=True)
    again = drift.look_for_drift(new, [], **LIMITS)
    assert again.reference.rows.equals(seen.reference.rows.sort_values(["split", "name"], ignore_index=True))
    assert again.finding == seen.finding


def test_new_pictures_are_answered_with_the_settings_of_the_reference(contenders: Contenders, new: Path) -> None:
    version = contenders.enter(GOOD, seen=trained_on(contenders.tree), flip=True)
    contenders.client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    seen = drift.look_for_drift(new, [contenders.tree], **LIMITS)
    assert seen.reference.settings["flip"] is True
    assert seen.predictor.settings["flip"] is True


def test_images_are_looked_for_in_each_tree_and_what_lacks_is_named(
    contenders: Contenders, champion: int, new: Path, tmp_path: Path
) -> None:
    (contenders.tree / "data/raw/3.png").unlink()
    with pytest.raises(drift.OutOfReach) as caught:
        drift.look_for_drift(new, [tmp_path / "empty", contenders.tree], **LIMITS)
    said = str(caught.value)
    assert f"{tmp_path}/empty/data/manifest.parquet is missing" in said
    assert f"1 images are missing, such as {contenders.tree}/data/raw/3.png" in said
    assert "run `roadseg drift FOLDER` once in the checkout that has them" in said
    assert artifact_names(contenders.client, contenders.entered[champion].run_id, "drift") == set()


def test_a_drive_that_is_replaced_meanwhile_is_no_reference_and_the_next_tree_is_taken(
    contenders: Contenders, champion: int, new: Path, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(contenders.tree / "data", tmp_path / "whole/data")).parent
    shutil.copy(whole / "data/raw/4.png", contenders.tree / "data/raw/3.png")
    with pytest.raises(drift.OutOfReach, match=r"1 of its images cannot be used, such as .*3\.png: holds other bytes"):
        drift.look_for_drift(new, [contenders.tree], **LIMITS)
    assert artifact_names(contenders.client, contenders.entered[champion].run_id, "drift") == set()
    assert len(drift.look_for_drift(new, [contenders.tree, whole], **LIMITS).reference.rows) == 32


def test_other_data_than_the_champions_are_no_reference(contenders: Contenders, champion: int, new: Path) -> None:
    path = contenders.tree / "data/manifest.parquet"
    manifest = read_manifest(path)
    fewer = [row for row in manifest.records() if row["split"] == "val"]
    write_manifest(path, "manifest", from_rows(fewer, manifest.layout, manifest.classes))
    with pytest.raises(drift.OutOfReach, match="10 of its 10 training images are not in"):
        drift.look_for_drift(new, [contenders.tree], **LIMITS)


@pytest.mark.usefixtures("contenders")
def test_without_a_champion_it_says_so(new: Path) -> None:
    with pytest.raises(drift.OutOfReach, match="there is no champion to compare with"):
        drift.look_for_drift(new, [], **LIMITS)


def test_where_no_picture_can_be_read_that_is_refused(contenders: Contenders, champion: int, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/1.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="holds no pictures"):
        drift.look_for_drift(tmp_path / "home", [contenders.tree], **LIMITS)
    with pytest.raises(drift.DataRefused, match=r"none of the 1 pictures in .* can be read: .*1\.jpg: not a picture"):
        drift.look_for_drift(tmp_path / "bad", [contenders.tree], **LIMITS)


def test_a_version_that_nobody_registered_cannot_be_watched(contenders: Contenders, new: Path) -> None:
    contenders.client.create_registered_model(MODEL)
    contenders.client.create_model_version(MODEL, contenders.tree.as_uri())
    contenders.client.set_registered_model_alias(MODEL, CHAMPION, "1")
    with pytest.raises(drift.OutOfReach, match="was not made by `roadseg register`"):
        drift.look_for_drift(new, [], **LIMITS)

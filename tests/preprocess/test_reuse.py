import shutil
from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.contracts.shards import Shards
from roadseg.preprocess import stage
from roadseg.preprocess.drives import Drives

from .conftest import PARAMS, Make, Preprocess, Rows, store


def test_a_second_run_decodes_nothing_and_writes_the_same(
    tmp_path: Path, make_tree: Make, rows: Rows, drives: int, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, decoded = preprocess(tree)
    assert decoded == drives
    assert preprocess(tree) == (first, 0)


def test_another_checkout_that_shares_home_decodes_nothing(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    first, _ = preprocess(make_tree(tmp_path / "one", rows))
    assert preprocess(make_tree(tmp_path / "other", rows)) == (first, 0)


def test_an_edited_colour_decodes_nothing(
    tmp_path: Path, make_tree: Make, rows: Rows, idd_level1: ClassTable, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    preprocess(tree)
    content = idd_level1.content
    content["classes"][0]["color"] = [9, 9, 9]
    edited = from_rows(rows, "idd-lite", ClassTable.model_validate(content))
    write_manifest(tree / "data/manifest.parquet", "manifest", edited)
    assert preprocess(tree)[1] == 0
    assert Shards.open(tree / "data/shards").classes.classes[0].color == (9, 9, 9)


def test_another_name_of_the_data_set_is_in_the_index_and_changes_nothing_else(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", [row | {"dataset": None} for row in rows])
    before, _ = preprocess(tree)
    assert Shards.open(tree / "data/shards").index["dataset"].isna().all()
    after, decoded = preprocess(make_tree(tree, [row | {"dataset": "another"} for row in rows]))
    assert decoded == 0
    assert set(Shards.open(tree / "data/shards").index["dataset"]) == {"another"}
    assert {name for name, digest in after.items() if before[name] != digest} == {"index.parquet"}


def test_one_new_drive_is_the_only_one_decoded_and_the_only_new_shard(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    newest = max(row["drive"] for row in rows if row["split"] == "train")
    tree = make_tree(tmp_path / "tree", [row for row in rows if row["drive"] != newest])
    before, _ = preprocess(tree)
    after, decoded = preprocess(make_tree(tree, rows))
    assert decoded == 1
    new = {name for name, digest in after.items() if before.get(name) != digest}
    assert new == {f"train/{newest}.{kind}.npy" for kind in ("image", "mask")} | {"index.parquet", "shards.json"}


def test_a_drive_that_is_gone_is_gone_from_the_shards(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    preprocess(tree)
    fewer = [row for row in rows if row["split"] != "test"]
    after, _ = preprocess(make_tree(tree, fewer))
    assert {name.split("/")[0] for name in after if "/" in name} == {"train", "val"}
    assert set(Shards.open(tree / "data/shards").files) == {name for name in after if "/" in name}


def test_a_changed_image_makes_its_drive_new(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    preprocess(tree)
    raw = Path(shutil.copytree(tree / "data/raw", tmp_path / "raw"))
    (tree / "data/raw").unlink()
    raw.rename(tree / "data/raw")
    image = tree / "data/raw" / rows[0]["image"]
    image.write_bytes(image.read_bytes() + b"more")
    changed = [rows[0] | {"image_sha": digest_file(image)}, *rows[1:]]
    assert preprocess(make_tree(tree, changed))[1] == 1


def test_for_few_samples_no_worker_process_starts(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("a pool was asked for")

    monkeypatch.setattr(stage, "pool", refuse)
    few = [row for row in rows if row["split"] == "val"]
    assert len(few) <= stage.FEW < len(rows)
    preprocess(make_tree(tmp_path / "few", few))
    with pytest.raises(AssertionError, match="a pool was asked for"):
        preprocess(make_tree(tmp_path / "many", rows), PARAMS.model_copy(update={"height": 48}))


def test_a_file_that_changed_since_it_was_scanned_is_refused_and_not_kept(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    lied = [rows[0] | {"image_sha": "0" * 64}, *rows[1:]]
    with pytest.raises(DataRefused, match=f"{rows[0]['image']}: changed since it was scanned: run `dvc repro`"):
        preprocess(make_tree(tmp_path / "tree", lied))
    digests = [image for entry in store().glob("*/entry.json") for image in entry.read_text()]
    assert "0" * 64 not in "".join(digests)


def test_masks_of_equal_bytes_that_are_coded_otherwise_are_decoded_anew(rows: Rows) -> None:
    found, rows = [], [row for row in rows if row["mask"]]
    for coding in ("level3", "level4"):
        masks = [row | {"coding": coding} for row in rows]
        found.append(list(Drives.of(from_rows(masks, "idd-20k", ClassTable.find("idd-level3")).rows).contents()))
    assert found[0] != found[1]


@pytest.mark.parametrize("change", [{"height": 48}, {"aspect": "pad"}, {"tile": 2}])
def test_another_parameter_makes_every_drive_new(
    tmp_path: Path, make_tree: Make, rows: Rows, drives: int, preprocess: Preprocess, change: dict[str, object]
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, _ = preprocess(tree)
    other, decoded = preprocess(tree, PARAMS.model_copy(update=change))
    assert decoded == drives
    assert other != first


def test_other_code_makes_every_drive_new(
    tmp_path: Path,
    make_tree: Make,
    rows: Rows,
    drives: int,
    preprocess: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, _ = preprocess(tree)
    monkeypatch.setattr(stage, "_code", lambda: {"roadseg/preprocess/encode.py": "edited"})
    assert preprocess(tree) == (first, drives)


def test_two_drives_of_equal_content_are_decoded_once(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    val = [row for row in rows if row["split"] == "val"]
    again = [row | {"sample": f"train{row['sample'][3:]}", "split": "train"} for row in val]
    tree = make_tree(tmp_path / "tree", val + again)
    after, decoded = preprocess(tree)
    assert decoded == len({row["drive"] for row in val})
    assert {name[4:]: sha for name, sha in after.items() if name.startswith("val/")} == {
        name[6:]: sha for name, sha in after.items() if name.startswith("train/")
    }

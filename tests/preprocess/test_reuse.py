import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trees import shard_digests

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import from_rows
from roadseg.contracts.shards import Shards
from roadseg.preprocess import stage
from roadseg.preprocess import store as kept
from roadseg.preprocess.drives import Drives
from roadseg.preprocess.stage import PreprocessParams, run
from roadseg.preprocess.store import KEPT_DAYS

PARAMS = PreprocessParams(height=32, width=48, aspect="stretch", tile=0)
Make = Callable[..., Path]
Rows = list[dict[str, Any]]
Preprocess = Callable[..., tuple[dict[str, str], int]]


@pytest.fixture
def preprocess(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Preprocess:
    """Run the stage in a folder; gives the digests of what it wrote and how many shards it decoded."""
    monkeypatch.setenv("ROADSEG_WORKERS", "1")

    def preprocess(tree: Path, params: PreprocessParams = PARAMS) -> tuple[dict[str, str], int]:
        monkeypatch.chdir(tree)
        capsys.readouterr()
        run(preprocess=params)
        decoded = capsys.readouterr().out.split(" shards, ")[1].split()[0]
        return shard_digests(tree), int(decoded)

    return preprocess


def store() -> Path:
    return Path(os.environ["ROADSEG_HOME"]) / "reuse/shards"


@pytest.fixture
def drives(rows: Rows) -> int:
    return len({(row["split"], row["drive"]) for row in rows})


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
    for coding in (3, 4):
        masks = [row | {"mask": row["mask"] and f"a_gtFine_labellevel{coding}Ids.png"} for row in rows]
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


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "entry cut", "entry gone", "entry of another schema"])
def test_a_damaged_entry_is_made_again(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess, damage: str
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, _ = preprocess(tree)
    entry = min(store().iterdir())
    path = entry / ("entry.json" if damage.startswith("entry") else "image.npy")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    if damage.endswith("gone"):
        path.unlink()
    elif damage == "flipped":
        path.write_bytes(content)
    elif damage.endswith("cut"):
        path.write_bytes(content[:-9])
    else:
        path.write_text(path.read_text().replace("roadseg/shard/1", "roadseg/shard/0"))
    assert preprocess(tree) == (first, 1)


def test_a_home_that_was_copied_is_read_back_and_reused(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, _ = preprocess(tree)
    shutil.copytree(os.environ["ROADSEG_HOME"], tmp_path / "moved")
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "moved"))
    assert preprocess(tree) == (first, 0)


def test_shards_are_read_only_and_an_edit_all_the_same_is_found_and_decoded_anew(
    tmp_path: Path, make_tree: Make, rows: Rows, drives: int, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    first, _ = preprocess(tree)
    edited = sorted((tree / "data/shards").rglob("*.image.npy"))
    for path in edited:
        assert not path.stat().st_mode & 0o222
        path.chmod(0o644)
        with path.open("r+b") as opened:
            opened.seek(-3, os.SEEK_END)
            opened.write(b"\x99\x99\x99")
    linked = edited[0].stat().st_nlink > 1  # else the file system shares blocks, and home has its own
    assert preprocess(tree) == (first, drives if linked else 0)


def test_a_checkout_adds_no_second_copy_of_the_pixels(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    preprocess(tree)
    shared = {path.stat().st_ino for path in store().rglob("*.npy")}
    assert {path.stat().st_ino for path in (tree / "data/shards").rglob("*.npy")} == shared


@pytest.mark.parametrize("refused", ["reflink", "reflink _hard_link"])
def test_where_bytes_cannot_be_shared_the_next_way_is_taken(
    tmp_path: Path,
    make_tree: Make,
    rows: Rows,
    preprocess: Preprocess,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
) -> None:
    def other_disk(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "another disk")

    first, _ = preprocess(make_tree(tmp_path / "one", rows))
    for way in refused.split():
        monkeypatch.setattr(kept, way, other_disk)
    tree = make_tree(tmp_path / "other", rows)
    assert preprocess(tree) == (first, 0)
    links = {path.stat().st_nlink for path in (tree / "data/shards").rglob("*.npy")}
    assert links == ({1} if "_hard_link" in refused else {3})


def test_entries_that_no_run_uses_go_after_a_while_and_used_ones_stay(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    preprocess(tree)
    old = time.time() - (KEPT_DAYS + 1) * 24 * 3600
    (store() / ".left-by-a-kill.tmp").mkdir()
    for entry in store().iterdir():
        os.utime(entry, (old, old))
    fewer = [row for row in rows if row["split"] == "val"]
    _, decoded = preprocess(make_tree(tree, fewer))
    assert decoded == 0
    assert len(list(store().iterdir())) == len({row["drive"] for row in fewer})


def test_an_entry_that_goes_while_it_is_used_is_named_and_the_old_shards_stay(
    tmp_path: Path, make_tree: Make, rows: Rows, preprocess: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree", rows)
    before, _ = preprocess(tree)
    encode = stage._encode

    def removed(*given: Any) -> None:
        encode(*given)
        shutil.rmtree(store())

    monkeypatch.setattr(stage, "_encode", removed)
    with pytest.raises(UsageError, match="was removed or damaged while it was used: run the same command again"):
        preprocess(tree, PARAMS.model_copy(update={"height": 48}))
    assert shard_digests(tree) == before


def test_after_a_picture_that_cannot_be_read_the_rest_is_kept_and_the_old_shards_stay(
    tmp_path: Path, make_tree: Make, rows: Rows, scenes: Path, preprocess: Preprocess
) -> None:
    raw = Path(shutil.copytree(scenes, tmp_path / "tree/data/raw"))
    tree = make_tree(tmp_path / "tree", [row for row in rows if row["split"] == "val"])
    before, _ = preprocess(tree)
    broken = next(row for row in rows if row["split"] == "train")
    (raw / broken["image"]).write_bytes(b"no picture")
    digest = digest_file(raw / broken["image"])
    changed = [row | {"image_sha": digest} if row is broken else row for row in rows]
    with pytest.raises(DataRefused, match=rf"{broken['image']}: not a picture"):
        preprocess(make_tree(tree, changed))
    assert shard_digests(tree) == before
    assert not list(store().glob(".*"))
    shutil.copy(scenes / broken["image"], raw / broken["image"])
    assert preprocess(make_tree(tree, rows))[1] >= 1


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

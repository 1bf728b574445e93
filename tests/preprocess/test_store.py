import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from trees import shard_digests

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.preprocess import stage
from roadseg.preprocess import store as kept
from roadseg.preprocess.store import KEPT_DAYS

from .conftest import PARAMS, Make, Preprocess, Rows, store


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
    (store() / "rows-left-by-a-kill").touch()
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

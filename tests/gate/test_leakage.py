import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from roadseg.gate.leakage import find_leaks

KINDS = {"sample": pa.string(), "drive": pa.string(), "image_sha": pa.string(), "phash": pa.uint64()}


def row(sample: str, drive: str | None = None, sha: str | None = None, phash: int | None = None, **more: Any) -> dict:
    return {"sample": sample, "drive": drive, "image_sha": sha or f"sha of {sample}", "phash": phash, **more}


def table(*rows: dict[str, Any]) -> pa.Table:
    kinds = KINDS | ({"dataset": pa.string()} if any("dataset" in each for each in rows) else {})
    return pa.Table.from_pylist(list(rows), pa.schema(kinds))


VAL = table(
    row("v/a/1", "a", phash=0b11111 << 10), row("v/a/2", "a", phash=2**63), row("v/b/1", "b", phash=0b11111 << 20)
)
NONE = table(row("t/c/1", "c", phash=0b11111 << 40))


def test_a_training_that_saw_nothing_of_val_takes_nothing_out() -> None:
    assert find_leaks(VAL, {"version 1": NONE}, near=4) == ()
    assert find_leaks(VAL, {}, near=4) == ()


def test_one_image_by_digest_takes_its_whole_drive_out_and_says_so() -> None:
    seen = table(row("t/x/1", "x", "sha of v/a/2"))
    [found] = find_leaks(VAL, {"version 1": NONE, "the parent of version 2": seen}, near=4)
    assert (found.drive, found.images) == ("a", 2)
    assert found.why == "1 images are in the training data of the parent of version 2, such as v/a/2"


@pytest.mark.parametrize(("bits", "leaks"), [(4, True), (5, False)])
def test_a_near_duplicate_is_within_so_many_bits(bits: int, leaks: bool) -> None:
    seen = table(row("t/x/1", "x", phash=2**63 | (2**bits - 1)))
    found = find_leaks(table(row("v/a/2", "a", phash=2**63)), {"version 1": seen}, near=4)
    assert [each.why for each in found] == (
        ["1 images are near-duplicates of training data of version 1, such as v/a/2"] if leaks else []
    )


def test_an_unknown_hash_is_like_no_other() -> None:
    unknown = table(row("v/a/1", "a"))
    assert find_leaks(unknown, {"version 1": table(row("t/x/1", "x", phash=0))}, near=4) == ()
    assert find_leaks(table(row("v/a/1", "a", phash=0)), {"version 1": table(row("t/x/1", "x"))}, near=4) == ()


def test_a_drive_that_was_trained_on_is_out_with_all_its_images() -> None:
    [found] = find_leaks(VAL, {"version 1": table(row("t/a/9", "a", phash=0b11111 << 40))}, near=4)
    assert (found.drive, found.images) == ("a", 2)
    assert found.why == "2 images are of a drive in the training data of version 1, such as v/a/1"


@pytest.mark.parametrize(
    ("val", "seen", "leaks"),
    [("idd", "idd", True), ("idd", "bdd", False), (None, "idd", True), ("idd", None, True), (None, None, True)],
)
def test_a_drive_of_that_name_in_another_dataset_is_another_drive(val: str, seen: str, leaks: bool) -> None:
    trained = table(row("t/7/9", "7", dataset=seen))
    assert bool(find_leaks(table(row("v/7/1", "7", dataset=val)), {"version 1": trained}, near=4)) is leaks


def test_a_dataset_that_no_column_names_may_be_the_same() -> None:
    assert find_leaks(table(row("v/7/1", "7", dataset="idd")), {"version 1": table(row("t/7/9", "7"))}, near=4)


def test_samples_without_a_drive_are_drives_of_their_own() -> None:
    val = table(row("v/1"), row("v/2"))
    seen = table(row("t/9", None, "sha of v/2"))
    assert [(each.drive, each.images) for each in find_leaks(val, {"version 1": seen}, near=4)] == [("image v/2", 1)]


def test_every_kind_and_training_is_said_of_a_drive() -> None:
    first, second = table(row("t/a/8", "a", "sha of v/a/1")), table(row("t/x/1", "x", phash=2**63 + 1))
    [found] = find_leaks(VAL, {"version 1": first, "version 2": second}, near=4)
    assert found.why == (
        "1 images are in the training data of version 1, such as v/a/1; "
        "1 images are of a drive in the training data of version 1, such as v/a/2; "
        "1 images are near-duplicates of training data of version 2, such as v/a/2"
    )


def test_an_image_is_counted_once_by_the_strongest_of_its_kinds() -> None:
    val = table(row("v/a/1", "a", phash=2**63))
    for seen, how in (
        (row("t/a/1", "a", "sha of v/a/1", 2**63), "in the training data"),
        (row("t/a/1", "a", phash=2**63), "near-duplicates"),
    ):
        [found] = find_leaks(val, {"version 1": table(seen)}, near=4)
        assert how in found.why
        assert ";" not in found.why


def test_a_large_training_is_searched_in_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(2**63, size=(2, 100_000), dtype=np.uint64)
    seen = table(*(row(f"t/{number}", f"t{number}", phash=int(each)) for number, each in enumerate(hashes[0])))
    val = table(*(row(f"v/{number}", f"v{number}", phash=int(each)) for number, each in enumerate(hashes[1, :2000])))
    start = time.process_time()
    assert find_leaks(val, {"version 1": seen}, near=4) == ()
    assert time.process_time() - start < 10

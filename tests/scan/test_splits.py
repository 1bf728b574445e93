from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import touch

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts.found import Found
from roadseg.scan.splits import Shares, assign_splits, make

SHARES = Shares(val=0.2, test=0.1, seed=0)
DRIVES = st.lists(st.text("abc0123", min_size=1, max_size=4), min_size=2, max_size=30, unique=True)
ANY_SHARES = st.builds(Shares, val=st.floats(0.01, 0.9), test=st.floats(0, 0.9), seed=st.integers(0, 1000))


def frames(drives: list[str], each: int = 3) -> list[Found]:
    return [
        Found(None, drive, str(number), f"{drive}/{number}.jpg", None) for drive in drives for number in range(each)
    ]


def numbered(count: int) -> list[Found]:
    return [Found(None, None, f"frame{number}", f"{number}.jpg", None) for number in range(count)]


def split_of(found: list[Found]) -> dict[tuple[str | None, str], str | None]:
    return {(one.drive, one.id): one.split for one in found}


@given(drives=DRIVES, shares=ANY_SHARES)
def test_a_drive_is_in_one_split_and_neither_train_nor_val_is_empty(drives: list[str], shares: Shares) -> None:
    found = make(frames(drives), shares)
    assert len(found) == 3 * len(drives)
    assert len({(one.drive, one.split) for one in found}) == len(drives)
    assert {"train", "val"} <= {one.split for one in found} <= {"train", "val", "test"}


@given(drives=DRIVES, more=DRIVES, shares=ANY_SHARES, order=st.randoms())
def test_adding_drives_in_any_order_moves_none_that_was_placed_by_its_name(
    drives: list[str], more: list[str], shares: Shares, order: object
) -> None:
    many = [f"x{number}" for number in range(200)]  # so that neither train nor val needs help
    shares = replace(shares, val=0.3, test=0.3)
    before = split_of(make(frames([*many, *drives]), shares))
    mixed = frames([*dict.fromkeys([*more, *drives, *many])])
    order.shuffle(mixed)  # type: ignore[attr-defined]
    assert before.items() <= split_of(make(mixed, shares)).items()


def test_a_seed_makes_a_split_and_another_seed_another() -> None:
    drives = [str(number) for number in range(40)]
    assert make(frames(drives), SHARES) == make(frames(drives), SHARES)
    assert make(frames(drives), SHARES) != make(frames(drives), replace(SHARES, seed=1))


def test_the_shares_are_those_asked_for() -> None:
    found = make(frames([str(number) for number in range(2000)], each=1), SHARES)
    shares = [sum(one.split == split for one in found) / len(found) for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.03)


def test_without_drives_blocks_of_fifty_neighbours_stay_together() -> None:
    found = make(numbered(1000), SHARES)
    blocks = {(int(one.id.removeprefix("frame")) // 50, one.split) for one in found}
    assert len(blocks) == 20
    assert {split for _, split in blocks} >= {"train", "val"}


@pytest.mark.parametrize("count", [2, 11, 50])
def test_a_small_set_without_drives_still_has_both_splits(count: int) -> None:
    assert {one.split for one in make(numbered(count), SHARES)} >= {"train", "val"}


def test_names_without_numbers_are_split_one_by_one() -> None:
    found = [Found(None, None, name, f"{name}.jpg", None) for name in "abcdefgh"]
    assert {one.split for one in make(found, SHARES)} >= {"train", "val"}


def test_what_folders_call_test_stays_test() -> None:
    found = [replace(one, split="test") for one in frames(["t"])] + frames(["a", "b", "c"])
    made = split_of(make(found, SHARES))
    assert {made["t", str(number)] for number in range(3)} == {"test"}


def test_folders_are_believed_before_lists_and_lists_before_a_made_split(tmp_path: Path) -> None:
    lists(tmp_path, train=["a/0"], val=["b/0"])
    placed = [replace(one, split="val") for one in frames(["a", "b"], each=1)]
    assert assign_splits(placed, tmp_path, "auto", SHARES) == placed
    listed = assign_splits(frames(["a", "b"], each=1), tmp_path, "auto", SHARES)
    assert split_of(listed) == {("a", "0"): "train", ("b", "0"): "val"}
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").unlink()
    made = assign_splits(frames(["a", "b"], each=1), tmp_path, "auto", SHARES)
    assert made == make(frames(["a", "b"], each=1), SHARES)


def test_folders_that_are_asked_for_and_not_there_are_a_fault_of_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"scan.split: folders: {tmp_path}/a/0.jpg is in no folder of a split"):
        assign_splits(frames(["a"]), tmp_path, "folders", SHARES)


def lists(root: Path, **names: list[str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for split, listed in names.items():
        (root / f"{split}.txt").write_text("\n".join(listed) + "\n\n")


@pytest.mark.parametrize(
    "written", ["{d}/{n}", "{d}/{n}.jpg", "/{d}/{n}.png", "images/{d}/{n}.jpg masks/{d}/{n}_label.png", "masks/{d}/{n}"]
)
@pytest.mark.parametrize("folder", ["", "ImageSets/Segmentation"])
def test_a_list_may_name_samples_as_lists_do_and_what_it_omits_is_left_out(
    tmp_path: Path, written: str, folder: str
) -> None:
    found = [
        Found(None, drive, number, f"images/{drive}/{number}.jpg", f"masks/{drive}/{number}_label.png")
        for drive in "ab"
        for number in ("1", "2")
    ]
    lists(tmp_path / folder, train=[written.format(d="a", n=1)], val=[written.format(d="b", n=2)])
    listed = assign_splits(found, tmp_path, "lists", SHARES)
    assert split_of(listed) == {("a", "1"): "train", ("b", "2"): "val"}


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (["a/9"], r"train.txt: 'a/9' names no samples; give the path of one"),
        (["0"], r"train.txt: '0' names 2 samples; give the path of one"),
        (["a/0", "b/0"], r"val.txt: 'b/0' stands in train.txt too, so scores would leak"),
    ],
)
def test_a_list_that_the_data_contradict_is_refused_by_line(tmp_path: Path, train: list[str], said: str) -> None:
    lists(tmp_path, train=train, val=["b/0"])
    with pytest.raises(DataRefused, match=said):
        assign_splits(frames(["a", "b"], each=1), tmp_path, "lists", SHARES)


def test_lists_that_are_asked_for_and_not_there_are_a_fault_of_the_parameter(tmp_path: Path) -> None:
    touch(tmp_path, "train.txt")
    with pytest.raises(UsageError, match=r"scan.split: lists: .* holds no train.txt and val.txt"):
        assign_splits(frames(["a"]), tmp_path, "lists", SHARES)


def test_one_frame_outside_the_folders_of_splits_does_not_undo_them(tmp_path: Path) -> None:
    found = [*(replace(one, split="train") for one in frames(["a"])), *frames(["b"], each=1)]
    with pytest.raises(DataRefused, match=r"b/0\.jpg is in no folder of a split, as others are: move it"):
        assign_splits(found, tmp_path, "auto", SHARES)


def test_a_list_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / f"{split}.txt").write_bytes(b"\xff\xfe1")
    with pytest.raises(DataRefused, match=r"train\.txt is no text in UTF-8 or UTF-16"):
        assign_splits(frames(["a"]), tmp_path, "lists", SHARES)


@pytest.mark.parametrize("number", [12, 24, 60, 100, 200, 500])
def test_a_small_numbered_set_has_about_the_share_of_val_that_was_asked_for(number: int) -> None:
    shares = []
    for name in "abcdefghijklmnopqrst":
        found = [Found(None, None, f"{name}{one:04}", f"{one}.png", None) for one in range(number)]
        split = make(found, Shares(0.15, 0.0, 0))
        shares.append(sum(one.split == "val" for one in split) / number)
    assert 0.05 <= np.median(shares) <= 0.25
    assert max(shares) <= 0.5


@given(drives=DRIVES, shares=ANY_SHARES, data=st.data())
def test_what_is_decided_goes_before_a_made_split_and_moves_no_other_drive(
    drives: list[str], shares: Shares, data: st.DataObject
) -> None:
    decided = data.draw(st.dictionaries(st.sampled_from(drives), st.sampled_from(["train", "val", "test"])))
    before = split_of(assign_splits(frames(drives), Path(), "drive", shares))
    after = split_of(assign_splits(frames(drives), Path(), "drive", shares, decided))
    assert after == {(drive, name): decided.get(str(drive), split) for (drive, name), split in before.items()}


def test_what_is_decided_goes_before_folders_and_lists_also_where_they_say_nothing(tmp_path: Path) -> None:
    inside = [replace(one, split="test") for one in frames(["1", "2"])]
    found = assign_splits([*inside, *frames(["3"])], tmp_path, "folders", SHARES, {"1": "train", "3": "val"})
    assert {(one.drive, one.split) for one in found} == {("1", "train"), ("2", "test"), ("3", "val")}
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("b\n")
    listed = assign_splits(frames(["a", "b", "c", "d"]), tmp_path, "lists", SHARES, {"b": "train", "c": "val"})
    assert {(one.drive, one.split) for one in listed} == {("a", "train"), ("b", "train"), ("c", "val")}


def test_a_sample_without_a_drive_is_decided_by_its_id() -> None:
    found = split_of(assign_splits(numbered(40), Path(), "drive", SHARES, {"frame7": "test"}))
    assert found[None, "frame7"] == "test"


def test_one_that_is_undecided_and_in_no_folder_is_still_named(tmp_path: Path) -> None:
    loose = frames(["1", "2"])
    loose[0] = replace(loose[0], split="train")
    with pytest.raises(DataRefused, match=r"2/0\.jpg is in no folder of a split"):
        assign_splits(loose, tmp_path, "folders", SHARES, {"1": "val"})

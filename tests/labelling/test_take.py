"""A batch that comes back: what people changed is counted, and data/raw gets it whole, once, or not at all."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from handmade import batch_of, pick_of, put_mask
from PIL import Image
from small_sets import LEVEL, cells, judge, save, scene

from roadseg.contracts.classes import VOID
from roadseg.contracts.errors import Busy, DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.quarantine import read_quarantine
from roadseg.contracts.splits import Decided, read_splits
from roadseg.labelling.batch import Batch, open_batch, write_batch
from roadseg.labelling.take import FAILPOINTS, changed_by_class, import_batch
from roadseg.labelling.tools.write import export_batch

Contents = Callable[[Path], dict[str, bytes]]
FEW = ("label:merged", "label:left-out")  # failpoints of every run; the others are soak


@pytest.fixture
def corrected(batch: Batch, tmp_path: Path) -> Path:
    """An export in folders; somebody made the first eight rows of the first picture void, and two cells sky."""
    export_batch(batch, "folders", tmp_path / "export", tmp_path)
    path = tmp_path / f"export/masks/{batch.picks[0].name}.png"
    mask = Image.open(path)
    ids = np.array(mask)
    ids[:8], ids[8:16, :16] = VOID, batch.classes.names.index("sky")
    again = Image.fromarray(ids).convert("P")
    again.putpalette(mask.getpalette() or [])
    again.save(path)
    return tmp_path / "export"


def masks(tree: Path) -> dict[str, np.ndarray]:
    """Ids of the new masks in data/raw, by sample."""
    return {
        f"{path.parent.name}/{path.stem.removesuffix('_label')}": np.array(Image.open(path))
        for path in sorted((tree / "data/raw/gtFine/test").rglob("*.png"))
    }


def test_a_drive_of_test_leaves_it_whole_and_nothing_in_data_raw_moves(
    tree: Path, batch: Batch, corrected: Path, contents: Contents
) -> None:
    before = contents(tree / "data/raw")
    taken = import_batch(tree, batch, corrected)
    after = contents(tree / "data/raw")
    assert before.items() <= after.items()
    assert sorted(after.keys() - before.keys()) == [f"gtFine/test/{name}_label.png" for name in ("7/0", "7/2", "8/1")]
    assert read_splits(tree / "data/splits.csv") == [
        Decided("7", "train", "town", "one"),
        Decided("8", "train", "town", "one"),
    ]
    assert (taken.new, taken.pictures, taken.drives) == (3, 3, {"7": "train", "8": "train"})

    listed = {entry.sample: entry.reason for entry in read_quarantine(tree / "data/quarantine.csv")}
    assert listed == dict.fromkeys(["train/7/1", "train/8/0"], "not labelled (batch one)")
    judge()
    rows = read_manifest(tree / "data/manifest.parquet").records()
    assert {row["sample"] for row in rows if row["drive"] in {"7", "8"}} == {"train/7/0", "train/7/2", "train/8/1"}
    assert not [row for row in rows if row["split"] == "test"]


def test_masks_are_those_that_people_made_and_what_they_changed_is_counted(
    tree: Path, batch: Batch, corrected: Path
) -> None:
    taken = import_batch(tree, batch, corrected)
    for pick in batch.picks:
        written = np.array(Image.open(corrected / f"masks/{pick.name}.png"))
        np.testing.assert_array_equal(masks(tree)[f"{pick.drive}/{pick.id}"], written)
    said, sky = batch.predicted(batch.picks[0]), batch.classes.names.index("sky")
    made = np.array(Image.open(corrected / f"masks/{batch.picks[0].name}.png"))
    assert taken.counts.sum() == 3 * 48 * 64
    assert taken.counts[:, -1].sum() == 8 * 64 == (made == VOID).sum()
    for name, pixels, changed in changed_by_class(taken.counts, batch.classes.names):
        number = batch.classes.names.index(name)
        assert changed == ((said == number) & (made != number)).sum()
        assert pixels == sum((batch.predicted(pick) == number).sum() for pick in batch.picks)
    assert taken.counts[:, sky].sum() > taken.counts[sky, sky]
    remembered = open_batch("one").imported
    assert remembered
    assert remembered["counts"] == taken.counts.tolist()
    assert remembered["pictures"] == sorted(pick.image_sha for pick in batch.picks)


def test_a_batch_that_is_imported_twice_adds_nothing_twice(
    tree: Path, batch: Batch, corrected: Path, contents: Contents
) -> None:
    import_batch(tree, batch, corrected)
    after = contents(tree / "data")
    again = import_batch(tree, open_batch("one"), corrected)
    assert again.new == 0
    assert contents(tree / "data") == after


POINTS = [
    *FEW,
    *(pytest.param(point, marks=pytest.mark.soak) for point in FAILPOINTS if point not in FEW),
    *(
        pytest.param(point, marks=pytest.mark.soak)
        for point in ("splits.csv:rename", "quarantine.csv:renamed", "add:moved")
    ),
]


@pytest.mark.parametrize("point", POINTS)
def test_an_import_that_is_killed_is_completed_by_the_same_command(
    tree: Path,
    batch: Batch,
    corrected: Path,
    contents: Contents,
    point: str,
    tmp_path: Path,
    killed: Callable[[Path, str, Callable[[], object]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = Path(shutil.copytree(tree, tmp_path / "undisturbed"))
    shutil.copytree(tmp_path / "home", tree / "home")
    assert killed(tree, point, lambda: import_batch(tree, open_batch("one"), corrected))
    monkeypatch.setenv("ROADSEG_HOME", str(tree / "home"))
    import_batch(tree, open_batch("one"), corrected)
    import_batch(undisturbed, batch, corrected)
    assert contents(tree / "data") == contents(undisturbed / "data")


def new_drive(tree: Path, split: str) -> Batch:
    """A batch of two new pictures of a drive `october`, whose originals are gone."""
    batch = batch_of(tree, ["test/7/0"], "two", split, "/drives")
    picks = []
    for rank in (1, 2):
        save(batch.folder / f"pictures/october-{rank}-0a0a.png", scene(5000 + rank))
        sha = digest_file(batch.folder / f"pictures/october-{rank}-0a0a.png")
        picks.append(pick_of(rank, f"october-{rank}-0a0a", "october", f"{rank}-0a0a", "", sha))
        picks[-1] = type(picks[-1])(**{**vars(picks[-1]), "picture": f"october-{rank}-0a0a.png"})
        put_mask(batch, picks[-1], cells(rank, LEVEL))
    batch.picks[:] = picks
    write_batch(batch)
    return open_batch("two")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_new_drive_comes_in_beside_the_others_in_the_split_of_its_batch(
    tree: Path, tmp_path: Path, split: str, batch: Batch
) -> None:
    fresh = new_drive(tree, split)
    export_batch(fresh, "cvat-camvid", tmp_path / "out", tmp_path)
    taken = import_batch(tree, fresh, tmp_path / "out/annotations.zip")
    assert (taken.new, taken.drives, taken.left_out) == (4, {"october": split}, [])
    folder = tree / f"data/raw/leftImg8bit/{split}/october"
    assert sorted(path.name for path in folder.iterdir()) == ["1-0a0a_image.png", "2-0a0a_image.png"]
    judge()
    rows = read_manifest(tree / "data/manifest.parquet").records(split)
    assert [row["sample"] for row in rows if row["drive"] == "october"] == [f"{split}/october/{n}-0a0a" for n in (1, 2)]


def only_one(folder: Path, batch: Batch) -> None:
    for pick in batch.picks[1:]:
        (folder / f"masks/{pick.name}.png").unlink()


def untouched(folder: Path, batch: Batch) -> None:
    save(folder / f"masks/{batch.picks[1].name}.png", np.full((48, 64), VOID, np.uint8))


def stranger(folder: Path, batch: Batch) -> None:
    save(folder / "masks/holiday.png", cells(1, LEVEL))


def unknown(folder: Path, batch: Batch) -> None:
    save(folder / f"masks/{batch.picks[2].name}.png", cells(1, (99,)))


def nothing(folder: Path, batch: Batch) -> None:
    shutil.rmtree(folder / "masks")


REFUSED = [
    (only_one, "2 of 3 pictures are not finished: 7-2-.*8-1-.*; finish them, or take the others with --partial"),
    (untouched, "1 of 3 pictures are not finished: 7-2-"),
    (stranger, "masks/holiday.png: is no picture of batch one"),
    (unknown, "masks/8-1-.*: 99 at x 0, y 0 is no label"),
    (nothing, "holds no masks|not finished"),
]


@pytest.mark.parametrize(("harm", "said"), REFUSED)
def test_a_half_finished_or_foreign_export_is_refused_by_name_and_changes_nothing(
    tree: Path, batch: Batch, corrected: Path, contents: Contents, harm: Callable[[Path, Batch], None], said: str
) -> None:
    before = contents(tree / "data")
    harm(corrected, batch)
    with pytest.raises(DataRefused, match=f"(?s){said}.*nothing was taken"):
        import_batch(tree, batch, corrected)
    assert contents(tree / "data") == before
    assert open_batch("one").imported is None


def test_of_a_half_finished_export_the_rest_can_be_taken_and_what_follows_later(
    tree: Path, batch: Batch, corrected: Path, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(corrected, tmp_path / "whole"))
    only_one(corrected, batch)
    taken = import_batch(tree, batch, corrected, partial=True)
    assert (taken.pictures, taken.drives) == (1, {"7": "train"})
    assert taken.left_out == ["train/7/1", "train/7/2"]
    later = import_batch(tree, open_batch("one"), whole)
    assert (later.new, later.pictures) == (2, 3)
    listed = [entry.sample for entry in read_quarantine(tree / "data/quarantine.csv")]
    assert listed == ["train/7/1", "train/8/0"]


def test_a_second_part_adds_to_the_first_and_forgets_nothing_of_it(tree: Path, batch: Batch, corrected: Path) -> None:
    undisturbed = batch_of(tree, ["test/7/0", "test/7/2", "test/8/1"], "whole")
    masks_made = {path.stem: path.read_bytes() for path in (corrected / "masks").iterdir()}
    said = []
    for part in ([0], [1, 2], [1, 2]):
        shutil.rmtree(corrected / "masks")
        (corrected / "masks").mkdir()
        for name in (batch.picks[number].name for number in part):
            (corrected / f"masks/{name}.png").write_bytes(masks_made[name])
        taken = import_batch(tree, open_batch("one"), corrected, partial=True)
        said.append((taken.pictures, int(taken.counts.sum())))
    assert said == [(1, 48 * 64), (2, 2 * 48 * 64), (2, 2 * 48 * 64)]
    for name, content in masks_made.items():
        (corrected / f"masks/{name}.png").write_bytes(content)
    import_batch(tree, undisturbed, corrected)
    parts, whole = open_batch("one").imported, open_batch("whole").imported
    assert parts
    assert whole
    assert {key: parts[key] for key in parts if key != "when"} == {key: whole[key] for key in whole if key != "when"}
    assert (len(parts["pictures"]), parts["drives"]) == (3, {"7": "train", "8": "train"})
    assert parts["left_out"] == ["train/7/1", "train/8/0"]


def test_a_hostile_archive_is_refused_by_name(tree: Path, batch: Batch, tmp_path: Path, contents: Contents) -> None:
    before = contents(tree)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as packed:
        packed.writestr("../../evil.png", b"1")
    with pytest.raises(DataRefused, match=r"evil.zip: member '../../evil.png' points outside; nothing was taken"):
        import_batch(tree, batch, tmp_path / "evil.zip")
    assert contents(tree) == before


def test_labels_that_validate_would_refuse_are_refused_before_they_enter(
    tree: Path, batch: Batch, corrected: Path, contents: Contents
) -> None:
    before = contents(tree / "data")
    shutil.copy(tree / "data/raw/leftImg8bit/val/4/0_image.jpg", tree / "data/raw/leftImg8bit/test/7/9_image.jpg")
    shutil.copy(tree / "data/raw/leftImg8bit/val/4/0_image.jpg", tree / "data/raw/leftImg8bit/test/7/0_image.jpg")
    with pytest.raises(DataRefused, match=r"batch one: train/7: .*nothing was taken"):
        import_batch(tree, batch, corrected)
    assert contents(tree / "data").keys() - before.keys() == {"raw/leftImg8bit/test/7/9_image.jpg"}


def test_a_second_version_of_a_mask_is_refused_by_name(
    tree: Path, batch: Batch, corrected: Path, contents: Contents
) -> None:
    import_batch(tree, batch, corrected)
    after = contents(tree / "data")
    save(corrected / f"masks/{batch.picks[1].name}.png", cells(77, LEVEL))
    with pytest.raises(DataRefused, match=r"gtFine/test/7/2_label.png: .* has a different file of that name"):
        import_batch(tree, batch, corrected)
    assert contents(tree / "data") == after


def test_data_of_other_classes_and_a_batch_at_work_are_refused(tree: Path, batch: Batch, corrected: Path) -> None:
    from filelock import FileLock

    with FileLock(batch.folder / ".lock"), pytest.raises(Busy, match="batch one is being imported"):
        import_batch(tree, batch, corrected)
    text = (tree / "data/classes.yaml").read_text()
    (tree / "data/classes.yaml").write_text(text.replace("name: sky", "name: heaven"))
    with pytest.raises(UsageError, match="they differ"):
        import_batch(tree, batch, corrected)

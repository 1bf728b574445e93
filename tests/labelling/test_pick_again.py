"""A pick knows of the batches before it whose labels have not come back, and of what imports left without labels."""

from pathlib import Path

import numpy as np
import pytest
from handmade import batch_of
from labelled import picked
from small_sets import judge, save, scene

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.labelling import pick as picking
from roadseg.labelling.batch import open_batch
from roadseg.labelling.embedding import Embedder
from roadseg.labelling.pick import Wanted, pick_batch
from roadseg.labelling.sources import NothingLeft, find_source
from roadseg.labelling.take import import_batch
from roadseg.labelling.tools.write import export_batch
from roadseg.pages import picks_page
from roadseg.pages.picks_page import write_picks_page
from roadseg.predict.predictor import Predictor


def near(image: np.ndarray, seed: int) -> np.ndarray:
    """A frame of the same scene: two grey levels of noise."""
    return np.clip(image + np.random.default_rng(seed).integers(-2, 3, image.shape), 0, 255).astype(np.uint8)


def noise(seed: int) -> np.ndarray:
    """A picture like no other."""
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def test_near_copies_and_scenes_of_a_batch_that_waits_for_labels_are_not_picked(
    with_model: Path, tmp_path: Path
) -> None:
    for drive in range(2):
        for frame in range(3):
            save(tmp_path / f"new/{drive}/{frame}.png", near(scene(900 + drive), frame))
    first = picked(with_model, str(tmp_path / "new"), 2, name="one")
    assert {pick.frame[0] for pick in first.picks} == {"0", "1"}
    with pytest.raises(NothingLeft, match="picked already, or like those"):
        picked(with_model, str(tmp_path / "new"), 9, name="two")
    save(tmp_path / "elsewhere/a/1.png", near(scene(900), 77))  # known by the copy alone: its source is another
    with pytest.raises(NothingLeft):
        picked(with_model, str(tmp_path / "elsewhere"), 9, name="three")


def test_equally_named_drives_of_two_sources_stay_two(with_model: Path, tmp_path: Path) -> None:
    for source, seed in (("s1", 701), ("s2", 802)):
        save(tmp_path / source / "october/1.png", scene(seed))
    first = picked(with_model, str(tmp_path / "s1"), 1, name="one")
    second = picked(with_model, str(tmp_path / "s2"), 1, name="two", split="val")
    assert [first.picks[0].drive, second.picks[0].drive] == ["october", "two-october"]


def test_drives_whose_names_differ_by_a_sign_stay_apart(with_model: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("a b", "a.b", "a_b")):
        save(tmp_path / "new" / name / "1.png", scene(701 + 50 * number))
    batch = picked(with_model, str(tmp_path / "new"), 3, "uncertainty", name="one")
    assert {pick.drive for pick in batch.picks} == {"a-b", "one-a-b", "one-a-b-2"}


def test_what_an_import_left_out_can_be_picked_and_imported(with_model: Path, tmp_path: Path) -> None:
    manifest = with_model / "data/manifest.parquet"
    with pytest.raises(UsageError, match="lists no picture of the scan as not labelled"):
        find_source("left-out", with_model, read_manifest(manifest))
    batch = batch_of(with_model, ["test/7/0", "test/7/2", "test/8/1"])
    export_batch(batch, "folders", tmp_path / "out", tmp_path)
    import_batch(with_model, batch, tmp_path / "out")
    judge()
    found = find_source("left-out", with_model, read_manifest(manifest))
    assert [frame.name for frame in found.frames] == ["train/7/1", "train/8/0"]
    with pytest.raises(NothingLeft):
        picked(with_model, "left-out", 2, name="two", split="val")  # their drives are in train
    again = picked(with_model, "left-out", 2, "uncertainty", name="three")
    assert sorted((pick.drive, pick.id) for pick in again.picks) == [("7", "1"), ("8", "0")]
    export_batch(again, "folders", tmp_path / "rest", tmp_path)
    assert import_batch(with_model, again, tmp_path / "rest").drives == {"7": "train", "8": "train"}
    judge()
    rows = read_manifest(manifest).records("train")
    assert {"train/7/1", "train/8/0"} <= {row["sample"] for row in rows if row["mask"]}


def test_a_kill_before_the_page_is_whole_leaves_a_pick_that_goes_on(with_model: Path) -> None:
    bundle, manifest = Bundle.open(with_model / "models/bundle"), read_manifest(with_model / "data/manifest.parquet")
    found, wanted = find_source("test", with_model, manifest), Wanted(1, "mixed", "train", "one", "ours", 4)
    given = found, with_model, manifest, Predictor(bundle, batch=4), Embedder(bundle), wanted

    def dying(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pick_batch(*given, page=dying)
    with pytest.raises(UsageError, match="no batch 'one'"):
        open_batch("one")
    batch, _ = pick_batch(*given, page=write_picks_page)
    assert (open_batch("one").folder / "picks.html").exists()
    assert len(batch.picks) == 1


def test_a_picture_that_goes_or_changes_before_it_is_copied_is_left_out_by_name(
    with_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, choose = tmp_path / "new/a", picking.choose_pictures
    bundle, manifest = Bundle.open(with_model / "models/bundle"), read_manifest(with_model / "data/manifest.parquet")

    def going(*given: object, **named: object) -> list[object]:
        chosen = choose(*given, **named)  # type: ignore[arg-type]
        (new / f"{chosen[0].place}.png").unlink()
        for one in chosen[1:2]:
            save(new / f"{one.place}.png", noise(9))
        return list(chosen)

    monkeypatch.setattr(picking, "choose_pictures", going)
    for frame in range(3):
        save(new / f"{frame}.png", noise(frame))
    found, wanted = (
        find_source(str(tmp_path / "new"), with_model, manifest),
        Wanted(3, "random", "train", "", "ours", 4),
    )
    batch, notes = pick_batch(found, with_model, manifest, Predictor(bundle, batch=4), Embedder(bundle), wanted)
    assert [(pick.rank, digest_file(batch.picture(pick))) for pick in batch.picks] == [(1, batch.picks[0].image_sha)]
    assert len([said for said in notes if "new/a/" in said and "went or changed" in said]) == 2
    save(new / "0.png", noise(4))
    for path in (new / "1.png", new / "2.png"):
        path.unlink(missing_ok=True)
    with pytest.raises(DataRefused, match=r"a/0\.png went or changed .* pick again"):
        picked(with_model, str(tmp_path / "new"), 1, name="two")


def test_a_page_shows_no_more_than_it_can_hold_and_says_so(with_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(with_model, ["test/7/0", "test/7/2", "test/8/1"])
    monkeypatch.setattr(picks_page, "MOST", 2)
    page = write_picks_page(batch, pictures=False).read_text()
    assert page.count("<li data-places") == 2
    assert "of the pictures the first 2 are shown here" in page
    assert batch.picks[2].name not in page

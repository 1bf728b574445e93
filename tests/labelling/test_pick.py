"""A batch is picked whole or not yet: figures, copies, masks and page; a killed pick goes on where it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bundles import painter
from labelled import picked
from small_sets import judge, save, scene

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.imaging.pixels import read_image
from roadseg.labelling import measure
from roadseg.labelling.batch import open_batch
from roadseg.labelling.sources import find_source
from roadseg.pages.picks_page import write_picks_page
from roadseg.predict.predictor import Predictor


def drives(folder: Path) -> Path:
    """New pictures: two drives, a copy of a val picture, and one that is broken."""
    for name in ("a/1", "a/2", "a/10", "b/1"):
        save(folder / f"{name}.png", scene(len(name) * 77 + ord(name[0]) * 10 + int(name[2:])))
    (folder / "b/2.png").write_bytes(b"\x89PNG no picture")
    return folder


def test_a_batch_has_reasons_copies_masks_and_a_page(with_model: Path) -> None:
    batch = picked(with_model, count=3, name="one")
    assert open_batch("one") == batch
    listed = pd.read_csv(batch.folder / "picks.csv")
    assert listed["rank"].tolist() == [1, 2, 3]
    assert listed["name"].is_unique
    assert ((listed[["value", "uncertain"]] >= 0) & (listed[["value", "uncertain"]] <= 1)).all(axis=None)
    model = Predictor(Bundle.open(with_model / "models/bundle"), batch=4)
    for pick in batch.picks:
        assert pick.image.startswith("leftImg8bit/test/")
        original = with_model / "data/raw" / pick.image
        assert digest_file(batch.picture(pick)) == digest_file(original) == pick.image_sha
        [answer] = model([read_image(original)])
        np.testing.assert_array_equal(batch.predicted(pick), answer)
    page = write_picks_page(batch).read_text()
    assert page.count("<li data-places") == 3
    assert all(pick.name in page for pick in batch.picks)
    assert not (batch.folder / ".measured").exists()


def test_a_folder_s_drives_get_names_that_the_data_lack_and_keep_them(with_model: Path, tmp_path: Path) -> None:
    folder = drives(tmp_path / "new")
    (folder / "b").rename(folder / "7")  # the data have a drive 7
    first = picked(with_model, str(folder), 2, "uncertainty", name="one")
    second = picked(with_model, str(folder), 9, "uncertainty", name="two")
    chosen = [*first.picks, *second.picks]
    assert len({pick.image_sha for pick in chosen}) == len(chosen) == 4
    assert {pick.drive for pick in chosen if not pick.drive.endswith("7")} == {"a"}
    assert len({pick.drive for pick in chosen if pick.drive.endswith("-7")}) == 1
    with pytest.raises(DataRefused, match="unreadable, among the data or picked already"):
        picked(with_model, str(folder), 1, name="three")


def test_a_drive_is_not_in_train_by_one_batch_and_in_val_by_another(with_model: Path, tmp_path: Path) -> None:
    folder = drives(tmp_path / "new")
    first = picked(with_model, str(folder), 1, "uncertainty", name="one")
    second = picked(with_model, str(folder), 9, "uncertainty", name="two", split="val")
    assert {pick.drive for pick in first.picks}.isdisjoint(pick.drive for pick in second.picks)


def test_copies_of_what_is_in_val_are_not_picked(with_model: Path, tmp_path: Path) -> None:
    shutil.copytree(with_model / "data/raw/leftImg8bit/val/4", tmp_path / "copies/x")
    with pytest.raises(DataRefused, match="among the data"):
        picked(with_model, str(tmp_path / "copies"), 1)


def test_frames_that_a_server_kept_are_taken_by_any_policy_in_the_order_of_time(
    with_model: Path, tmp_path: Path
) -> None:
    for number, policy in enumerate(("uncertain", "uniform", "rare")):
        save(tmp_path / f"kept/{number}.png", scene(900 - number))
        said = {"policy": policy, "time": f"2026-01-31T10:{30 * (2 - number):02}:00Z" if number else 1e9}
        (tmp_path / f"kept/{number}.json").write_text(json.dumps(said))
    found = find_source(str(tmp_path / "kept"), with_model, read_manifest(with_model / "data/manifest.parquet"))
    assert [frame.path.stem for frame in found.frames] == ["0", "2", "1"]
    assert len(picked(with_model, str(tmp_path / "kept"), 3).picks) == 3


def test_a_pick_that_was_killed_measures_the_rest_alone_and_ends_as_undisturbed(
    with_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "PART", 2)
    seen: list[Path] = []
    read = measure.read_bytes

    def dying(path: Path) -> bytes:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(path)
        return read(path)

    folder = drives(tmp_path / "new")
    monkeypatch.setattr(measure, "read_bytes", dying)
    with pytest.raises(KeyboardInterrupt):
        picked(with_model, str(folder), 3)
    before = list(seen)
    monkeypatch.setattr(measure, "read_bytes", lambda path: (seen.append(path), read(path))[1])
    batch = picked(with_model, str(folder), 3)
    assert len(list((tmp_path / "home/labelling").iterdir())) == 1  # the same batch went on
    assert set(seen[3:]) == set(seen) - set(before[:2])
    shutil.move(tmp_path / "home", tmp_path / "disturbed")
    undisturbed = picked(with_model, str(folder), 3, name=batch.name)
    assert undisturbed.picks == batch.picks


def test_no_more_than_a_batch_of_pictures_is_in_memory(
    with_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, most, decode, judged = 0, 0, measure.decode_image, measure.judge_answer

    def decoded(content: bytes) -> np.ndarray:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return decode(content)

    def looked(answer: np.ndarray) -> measure.Looked:
        nonlocal waiting
        waiting -= 1
        return judged(answer)

    monkeypatch.setattr(measure, "decode_image", decoded)
    monkeypatch.setattr(measure, "judge_answer", looked)
    for number in range(13):
        save(tmp_path / f"many/{number}.png", scene(number + 400))
    picked(with_model, str(tmp_path / "many"), 2)
    assert most <= 4


REFUSED: list[tuple[Callable[[Path], str], str]] = [
    (lambda tree: str(tree / "nowhere"), "is no folder"),
    (lambda tree: str(tree / "data/raw/leftImg8bit/val"), "is in data/raw: pick from `test`"),
]


@pytest.mark.parametrize(("source", "said"), REFUSED)
def test_a_source_that_cannot_be_picked_from_is_named(
    with_model: Path, source: Callable[[Path], str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        picked(with_model, source(with_model))


def test_a_name_is_not_taken_twice_and_leads_nowhere_else(with_model: Path) -> None:
    picked(with_model, count=1, name="one")
    with pytest.raises(UsageError, match="is there already"):
        picked(with_model, count=1, name="one")
    with pytest.raises(UsageError, match="give letters, digits"):
        picked(with_model, count=1, name="../one")
    with pytest.raises(UsageError, match=r"no batch 'two' in .*: there are one"):
        open_batch("two")


def test_a_model_of_other_classes_is_refused(with_model: Path) -> None:
    painter(with_model / "models/bundle", ClassTable.find("road"))
    with pytest.raises(DataRefused, match="ours knows road, the data are idd-level1"):
        picked(with_model, count=1)


def test_without_test_pictures_a_folder_is_asked_for(with_model: Path) -> None:
    shutil.rmtree(with_model / "data/raw/leftImg8bit/test")
    judge()
    with pytest.raises(UsageError, match="holds no test picture without a mask: name a folder"):
        picked(with_model, count=1)

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from doubted import SAMPLES, WRONG, doubted_tree

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import read_manifest
from roadseg.labelling import suspects as module
from roadseg.labelling.suspects import Suspect, most_disputed_first, suspects, write_list
from roadseg.predict.predictor import Predictor


def found_in(tree: Path, batch: int = 2) -> list[Suspect | None]:
    rows = [row for row in read_manifest(tree / "data/manifest.parquet").records() if row["mask"]]
    return list(suspects(rows, tree, Predictor(Bundle.open(tree / "models/bundle"), batch=batch)))


def test_the_wrong_labels_are_found_and_no_others_the_largest_share_first(tmp_path: Path) -> None:
    judged = found_in(doubted_tree(tmp_path))
    assert len(judged) == len(SAMPLES) - 1
    found = most_disputed_first([each for each in judged if each])
    assert [each.row["sample"] for each in found] == list(WRONG)
    for each, (given, box) in zip(found, WRONG.values(), strict=True):
        assert (each.worst.given, each.worst.box, each.areas) == (given, box, 1)
        assert each.share == pytest.approx((box[2] - box[0]) * (box[3] - box[1]) / (32 * 63))
        assert each.worst.confidence > 0.9


def test_equal_shares_stand_in_the_order_of_names(tmp_path: Path) -> None:
    [one] = [each for each in found_in(doubted_tree(tmp_path, ["val/c/1"])) if each]
    names = ["val/b/2", "train/z/0", "val/a/10"]
    equal = [Suspect(one.row | {"sample": name}, one.share, one.areas, one.worst) for name in names]
    assert [each.row["sample"] for each in most_disputed_first(equal)] == sorted(names)


def test_the_list_says_where_to_look_in_which_file(tmp_path: Path) -> None:
    tree = doubted_tree(tmp_path)
    found = most_disputed_first([each for each in found_in(tree) if each])
    write_list(tmp_path / "out/labels.csv", found, Bundle.open(tree / "models/bundle").classes)
    listed = pd.read_csv(tmp_path / "out/labels.csv")
    assert listed["sample"].tolist() == list(WRONG)
    assert listed["rank"].tolist() == [1, 2, 3]
    assert listed[["given", "predicted"]].to_numpy().tolist() == [
        ["sky", "far-objects"],
        ["living-things", "road-side-objs"],
        ["non-drivable", "vehicles"],
    ]
    assert listed[["x0", "y0", "x1", "y1"]].to_numpy().tolist() == [list(box) for _, box in WRONG.values()]
    assert all((tree / name).is_file() for name in [*listed["image"], *listed["mask"]])
    assert listed["share"].is_monotonic_decreasing


def test_an_empty_list_has_its_heading(tmp_path: Path) -> None:
    tree = doubted_tree(tmp_path, ["val/c/0"])
    assert found_in(tree) == [None]
    write_list(tmp_path / "labels.csv", [], Bundle.open(tree / "models/bundle").classes)
    assert (tmp_path / "labels.csv").read_text().startswith("rank,sample,split,image,mask,share,")


def test_no_more_than_a_batch_is_decoded_and_not_yet_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, waiting, read_image = doubted_tree(tmp_path, [f"val/c/{n}" for n in range(9)]), 0, module.read_image
    most = 0

    def seen(path: Path) -> np.ndarray:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return read_image(path)

    monkeypatch.setattr(module, "read_image", seen)
    rows = read_manifest(tree / "data/manifest.parquet").records()
    judged: Iterator[Suspect | None] = suspects(rows, tree, Predictor(Bundle.open(tree / "models/bundle"), batch=2))
    for _ in judged:
        waiting -= 1
    assert waiting == 0
    assert most <= 3  # the last of a batch is judged after the next batch is read


@pytest.mark.parametrize("name", ["0.png", "0_label.png"])
def test_a_file_that_is_gone_is_named(tmp_path: Path, name: str) -> None:
    tree = doubted_tree(tmp_path, ["val/c/0"])
    (tree / "data/raw" / name).unlink()
    with pytest.raises(DataRefused, match=rf"data/raw/{name}: the file is missing"):
        found_in(tree)

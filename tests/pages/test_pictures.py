from contextlib import chdir
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import write_evaluation
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.evaluate.stage import evaluation_of
from roadseg.pages.pictures import WIDTH, prediction_sheet, watched_sheet
from roadseg.train.run.watched import Watched

KINDS = [0, 1, 3, 5, 6]  # class that fills each picture of the val split


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Path:
    """A tree with pictures of one colour each and a model that knows every colour."""
    tree, rows = tmp_path_factory.mktemp("tree"), []
    (tree / "data/raw").mkdir(parents=True)
    for number, kind in enumerate(KINDS):
        Image.new("RGB", (64, 32), tuple(idd_level1.palette[kind].tolist())).save(tree / f"data/raw/{number}.png")
        Image.new("L", (64, 32), kind).save(tree / f"data/raw/{number}_label.png")
        files = {"image": f"{number}.png", "mask": f"{number}_label.png"}
        rows.append({"sample": f"val/{number}/0", "drive": str(number), "split": "val", **files})
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
    image, colours = keras.Input((None, None, 3), dtype="uint8", name="image"), idd_level1.palette[:7] / 255
    x = keras.layers.Conv2D(7, 1, name="logits")(keras.layers.Rescaling(1 / 255, name="scale")(image))
    model = keras.Model(image, x, name="nearest_colour")
    model.set_weights([2 * colours.T[None, None], -(colours**2).sum(1)])
    card = {"height": 32, "width": 64, "stride": 1, "classes": idd_level1.content, "output": "logits"}
    write_bundle(tree / "models/bundle", model, card, SAMPLES.empty_table())
    with chdir(tree):
        found = evaluation_of(Bundle.open(Path("models/bundle")), read_manifest(Path("data/manifest.parquet")), {})
        write_evaluation(Path("reports/evaluation"), found)
    return tree


def cells(sheet: Image.Image, rows: int) -> np.ndarray:
    """Colour in the middle of every picture, (rows, 3 columns, RGB)."""
    height = WIDTH // 2
    columns, lines = (4 + WIDTH // 2 + np.arange(3) * (WIDTH + 4), 18 + height // 2 + np.arange(rows) * (height + 4))
    return np.asarray(sheet)[np.ix_(lines, columns)]


@pytest.mark.parametrize(("count", "shown"), [(1, [0]), (2, [0, 2]), (3, [0, 1, 3]), (5, range(5)), (9, range(5))])
def test_a_sheet_shows_pictures_of_drives_spread_evenly(
    tree: Path, idd_level1: ClassTable, count: int, shown: list[int]
) -> None:
    found = cells(prediction_sheet(tree, count), len(shown))
    expected = idd_level1.palette[[KINDS[number] for number in shown]]
    for column in range(3):  # image, truth and prediction of a picture in its class's colour are all that colour
        np.testing.assert_array_equal(found[:, column], expected)


def test_a_watched_sheet_shows_what_a_training_sees(idd_level1: ClassTable) -> None:
    images, truth = np.zeros((2, 32, 64, 3), np.uint8), np.full((2, 32, 64), 255, np.uint8)
    truth[1] = 3
    images[1] = idd_level1.palette[3]
    guess = np.full((2, 16, 32), 5, np.uint8)
    guess[1] = 3
    found = cells(watched_sheet(Watched(images, truth, guess, idd_level1)), 2)
    np.testing.assert_array_equal(found[1], [idd_level1.palette[3]] * 3)
    np.testing.assert_array_equal(found[0, :2], np.zeros((2, 3)))  # void leaves the image as it is
    np.testing.assert_array_equal(found[0, 2], np.round(0.6 * idd_level1.palette[5].astype(float)))

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.evaluation import Counts, read_evaluation
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.evaluate import stage
from roadseg.evaluate.stage import EvaluateParams, run
from roadseg.machine.backend import backend_version
from roadseg.machine.instruction_set import instruction_set

SETTINGS: dict[str, Any] = {"flip": False, "scales": [1.0], "overlap": 0.0, "precision": "float32"}
PARAMS: dict[str, Any] = SETTINGS | {"batch": 4, "resamples": 100, "seed": 0}


def write_painter(folder: Path, table: ClassTable) -> None:
    """A bundle that knows each class by its colour in the table: the nearest colour wins."""
    colours = table.palette[: table.count] / 255
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(image)
    model = keras.Model(image, keras.layers.Conv2D(table.count, 1, name="logits")(x), name="painter")
    model.set_weights([2 * colours.T[None, None], -(colours**2).sum(1)])
    card = {"height": 32, "width": 64, "stride": 1, "classes": table.content, "output": "logits"}
    write_bundle(folder, model, card, SAMPLES.empty_table())


@pytest.fixture
def make_tree(tmp_path: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """The current folder, with a painter and some painted images of the val split, two to a drive."""

    def make(images: int) -> None:
        rng, rows = np.random.default_rng(0), []
        for number in range(images):
            mask = np.kron(rng.integers(0, 7, (2, 4)), np.ones((32, 32))).astype(np.uint8)
            drive = f"{number // 2}"
            row = {"sample": f"val/{drive}/{number}", "split": "val", "drive": drive, "brightness": number / 100}
            row |= {"image": f"{number}.png", "mask": f"{number}_label.png", "sharpness": 50.0}
            (tmp_path / "data/raw").mkdir(parents=True, exist_ok=True)
            Image.fromarray(idd_level1.palette[mask]).save(tmp_path / "data/raw" / row["image"])
            Image.fromarray(mask).save(tmp_path / "data/raw" / row["mask"])
            rows.append(row)
        write_manifest(tmp_path / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
        write_painter(tmp_path / "models/bundle", idd_level1)
        monkeypatch.chdir(tmp_path)

    return make


def test_every_image_of_the_split_is_counted_and_described(make_tree: Callable[[int], None]) -> None:
    make_tree(10)
    run(evaluate=EvaluateParams(**PARAMS))
    found, metrics = read_evaluation(Path("reports/evaluation")), json.loads(Path("metrics.json").read_text())
    assert (metrics["images"], metrics["drives"]) == (10, 5)
    assert metrics["miou"] > 0.8
    assert 0 < metrics["ece"] < 1
    assert metrics["miou_low"] <= metrics["miou"] <= metrics["miou_high"]
    assert found.images["brightness"].to_pylist() == pytest.approx([number / 100 for number in range(10)])
    assert (found.counts.confusion.sum((1, 2)) == 128 * 256).all()
    assert (found.counts.reliability[..., 0].sum(1) == 128 * 256).all()
    assert found.counts.boundary.any((1, 2)).all()


def test_the_evaluation_says_how_it_was_predicted_and_on_what(make_tree: Callable[[int], None]) -> None:
    make_tree(2)
    run(evaluate=EvaluateParams(**PARAMS | {"scales": [1.0, 0.5], "precision": "bfloat16"}))
    found = read_evaluation(Path("reports/evaluation"))
    asked = SETTINGS | {"scales": [1.0, 0.5], "precision": "bfloat16"}
    assert found.settings == asked | {"height": 32, "width": 64}
    backend = " ".join(backend_version())
    assert found.rounding == {"backend": backend, "instruction_set": instruction_set()}


def test_the_evaluation_says_which_weights_answered_and_on_which_images(make_tree: Callable[[int], None]) -> None:
    make_tree(2)
    run(evaluate=EvaluateParams(**PARAMS))
    found = read_evaluation(Path("reports/evaluation"))
    assert found.weights == Bundle.open(Path("models/bundle")).card["weights"]
    assert found.val_manifest == read_manifest(Path("data/manifest.parquet")).digest("val")


def test_an_edited_colour_makes_no_model_of_other_classes(make_tree: Callable[[int], None]) -> None:
    make_tree(2)
    manifest = read_manifest(Path("data/manifest.parquet"))
    content = manifest.classes.content
    content["classes"][0] |= {"color": [9, 9, 9], "protected": True}
    edited = replace(manifest, classes=ClassTable.model_validate(content))
    write_manifest(Path("data/manifest.parquet"), "manifest", edited)
    run(evaluate=EvaluateParams(**PARAMS))


def test_a_second_run_writes_the_same_bytes(make_tree: Callable[[int], None]) -> None:
    make_tree(6)
    written = []
    for batch in (4, 1, "auto"):  # the batch changes nothing either
        run(evaluate=EvaluateParams(**PARAMS | {"batch": batch}))
        files = [Path("metrics.json"), *sorted(Path("reports/evaluation").iterdir())]
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1] == written[2]


def test_no_more_than_a_batch_and_what_waits_is_decoded_and_not_yet_counted(
    make_tree: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(13)
    decoded, counted, waiting = 0, 0, []
    images, count = stage.images, stage.count

    def seen(rows: list[dict[str, Any]]) -> Iterator[np.ndarray]:
        nonlocal decoded
        for image in images(rows):
            decoded += 1
            waiting.append(decoded - counted)
            yield image

    def done(*pair: Any) -> Counts:
        nonlocal counted
        time.sleep(0.02)  # so that counting is what is waited for
        counted += 1
        return count(*pair)

    monkeypatch.setattr(stage, "images", seen)
    monkeypatch.setattr(stage, "count", done)
    run(evaluate=EvaluateParams(**PARAMS))
    assert (decoded, counted) == (13, 13)
    assert 4 < max(waiting) <= 4 + stage.AHEAD + 1  # the last of the batch before is handed on after the next is begun


def test_memory_grows_by_the_counts_alone(make_tree: Callable[[int], None]) -> None:
    make_tree(64)
    run(evaluate=EvaluateParams(**PARAMS))  # what is loaded once is loaded
    rows = stage.read_manifest(Path("data/manifest.parquet")).records("val")
    peaks = []
    for images in (4, 64):
        few = [row | {"mask": row["mask"]} for row in rows[:images]]
        write_manifest(
            Path("data/manifest.parquet"), "manifest", from_rows(few, "idd-lite", ClassTable.find("idd-level1"))
        )
        tracemalloc.start()
        run(evaluate=EvaluateParams(**PARAMS))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 60 * 16_000  # an image is 24 kB, its scores at full size 230 kB, its counts 2 kB


def test_a_model_of_other_classes_is_refused(make_tree: Callable[[int], None]) -> None:
    make_tree(2)
    write_painter(Path("models/bundle"), ClassTable.find("idd-level2"))
    with pytest.raises(DataRefused, match="the model knows idd-level2, the data are idd-level1: train again"):
        run(evaluate=EvaluateParams(**PARAMS))

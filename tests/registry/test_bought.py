"""What a batch of labels cost and bought, from batches in home and a ledger with models of known quality."""

import numpy as np
import pytest
from contenders import BETTER, GOOD, Contenders

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_of, home, write_json
from roadseg.labelling.batch import Batch, distinct_colors, open_batch, write_batch
from roadseg.registry.bought import Bought, what_batches_bought
from roadseg.registry.promote import promote

WHEN = "2026-01-31T00:00:00Z"


def batch(name: str, *, images: list[str] | None = None, split: str = "train", when: str = WHEN) -> Batch:
    """A batch that was imported where images are given: the model was wrong in a tenth of 1000 pixels."""
    classes, folder = ClassTable.find("idd-level1"), home() / "labelling" / name
    about = {"source": "test", "by": "mixed", "model": "ours", "weights": "0" * 64, "created": WHEN, "looked": 9}
    write_batch(Batch(folder, split="train", classes=classes, colors=distinct_colors(classes), **about))  # type: ignore[arg-type]
    if images is not None:
        counts = np.zeros((8, 8), int)
        counts[0, 0], counts[0, 1] = 900, 100
        content = {"when": when, "pictures": images, "drives": {"7": split}, "counts": counts.tolist()}
        write_json(folder / "imported.json", "label-import", content)
    return open_batch(name)


def seen(*images: str) -> list[dict[str, object]]:
    return [{"sample": f"train/7/{image}", "drive": "7", "image_sha": image} for image in images]


def bought(*batches: Batch) -> list[Bought]:
    return what_batches_bought(batches)


@pytest.mark.usefixtures("asked")
def test_a_batch_is_told_its_cost_and_the_gain_of_the_first_model_that_saw_it(contenders: Contenders) -> None:
    images = [digest_of(number) for number in range(1000, 1003)]
    first = contenders.enter(GOOD, seen("0" * 64))
    promote(first)
    second = contenders.enter(BETTER, seen("0" * 64, *images))
    assert promote(second).outcome == "PROMOTE"
    [found] = bought(batch("one", images=images))
    assert (found.pictures, found.pixels, found.changed) == (3, 1000, 100)
    assert (found.outcome, found.before, found.version) == ("PROMOTE", first, second)
    assert found.miou
    assert 0 < found.miou.low < found.miou.value < found.miou.high
    assert found.classes.keys() == set(ClassTable.find("idd-level1").names)
    # the candidate no longer prefers the last class, which both that class and its neighbours gain by
    known = [each for each in found.classes.values() if not np.isnan(each.value)]
    assert found.miou.value == pytest.approx(np.mean([each.value for each in known]), abs=1e-5)
    assert all(each.low <= each.value <= each.high for each in known)


@pytest.mark.usefixtures("asked")
def test_what_is_missing_is_said(contenders: Contenders) -> None:
    promote(contenders.enter(GOOD, seen("0" * 64)))
    image = digest_of(1000)
    begun, in_val, waiting = batch("a"), batch("b", images=[image], split="val"), batch("c", images=[image])
    notes = [each.note for each in bought(begun, in_val, waiting)]
    assert notes[0] == "not imported yet"
    assert notes[1].startswith("all of it is in val")
    assert notes[2].startswith("no model that has seen it was judged yet")


def test_the_verb_shows_all_of_it(contenders: Contenders, asked: list[str]) -> None:
    from typer.testing import CliRunner

    from roadseg.cli.app import app

    image = digest_of(1000)
    promote(contenders.enter(GOOD, seen("0" * 64)))
    promote(contenders.enter(BETTER, seen("0" * 64, image)))
    batch("one", images=[image])
    done = CliRunner().invoke(app, ["label", "report"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "100 (10.0%)" in done.output
    assert "PROMOTE 1 -> 2" in done.output
    assert "mIoU +0." in done.output
    nobody = CliRunner().invoke(app, ["label", "report", "two"])
    assert "no batch 'two'" in str(nobody.exception)

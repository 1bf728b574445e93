import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contenders import SETTINGS, bundle_of, val_tree
from hostile_models import hostile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.evaluation import Evaluation, read_evaluation, write_evaluation
from roadseg.predict import predictor
from roadseg.registry.evidence import query as module
from roadseg.registry.evidence.query import (
    BATCHES,
    MOVED,
    counted_again,
    load_and_ask,
    query,
    samples_to_ask,
    share_moved,
)
from roadseg.registry.evidence.rescore import predict_val


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a bundle and its evaluation; read it only."""
    tree = val_tree(tmp_path_factory.mktemp("asked"), drives=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        write_evaluation(tree / "evaluation", predict_val(bundle_of(tree / "bundle", 0.2), SETTINGS))
    return tree


@pytest.fixture(autouse=True)
def _there(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)


@pytest.fixture
def evaluation(made: Path) -> Evaluation:
    return read_evaluation(made / "evaluation")


def test_a_model_that_answers_as_it_was_evaluated_has_no_faults(made: Path) -> None:
    found = load_and_ask(made / "bundle", made / "evaluation", made / "bundle")
    assert (found.faults, found.images, found.moved) == ([], 32, 0.0)
    assert found.seconds
    assert found.beside
    assert 0.2 < found.seconds / found.beside < 5


def shifted(evaluation: Evaluation) -> Evaluation:
    """With one pixel of one image that is asked about counted otherwise."""
    confusion = evaluation.counts.confusion.copy()
    row = confusion[evaluation.images["sample"].to_pylist().index(samples_to_ask(evaluation)[0]), 0]
    row[row.argmax()] -= 1
    row[-1] += 1
    return replace(evaluation, counts=replace(evaluation.counts, confusion=confusion))


def test_one_pixel_counts_where_rounding_is_the_same_and_not_elsewhere(
    made: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    evaluation = shifted(evaluation)
    write_evaluation(tmp_path / "evaluation", evaluation)
    [fault] = load_and_ask(made / "bundle", tmp_path / "evaluation", None).faults
    assert "of the pixels of 32 val images are counted otherwise" in fault
    assert "other code" not in fault
    write_evaluation(tmp_path / "evaluation", replace(evaluation, scoring="0" * 64))
    [fault] = load_and_ask(made / "bundle", tmp_path / "evaluation", None).faults
    assert "evaluate and register it again" in fault
    write_evaluation(
        tmp_path / "evaluation",
        replace(evaluation, rounding=(evaluation.rounding or {}) | {"instruction_set": "another"}),
    )
    found = load_and_ask(made / "bundle", tmp_path / "evaluation", None)
    assert found.faults == []
    assert 0 < found.moved < MOVED


def test_counts_that_another_size_of_batch_gives_are_found_again(
    made: Path, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation's own size of batch rounds as it did; any other counts one pixel elsewhere."""
    make = predictor.Predictor

    def rounding_by_batch(bundle: Bundle, *, batch: int | str, **told: object) -> predictor.Predictor:
        sizes.append(batch)
        return make(bundle, batch=batch, **told | ({} if batch == 4 else {"scales": [0.5]}))

    for right, tried in ((evaluation, ["auto", 1, 2, 4]), (shifted(evaluation), list(BATCHES))):
        sizes: list[int | str] = []
        monkeypatch.setattr(predictor, "Predictor", rounding_by_batch)
        _, moved, alike = counted_again(Bundle.open(made / "bundle"), right)
        assert alike
        assert (sizes, moved == 0) == (tried, right is evaluation)


def test_every_class_is_among_the_images_that_are_asked_about(evaluation: Evaluation) -> None:
    rare = evaluation.counts.confusion.copy()
    rare[:, 3] = 0
    rare[17, 3, 3] = 5
    few = replace(evaluation, counts=replace(evaluation.counts, confusion=rare))
    samples = few.images["sample"].to_pylist()
    for most in (7, 32):
        asked = samples_to_ask(few, most)
        assert len(asked) == len(set(asked)) == most
        assert samples[17] in asked
        seen = sum(rare[samples.index(sample)].sum(-1, dtype=np.int64) > 0 for sample in asked)
        assert (seen > 0).all()


@given(arrays(np.uint32, (3, 2, 3), elements=st.integers(0, 9)), st.integers(0, 17), st.integers(0, 17))
def test_a_pixel_that_changes_its_cell_is_one_moved_pixel(counts: np.ndarray, before: int, after: int) -> None:
    again = counts.copy()
    again.flat[before] += 1
    moved = counts.copy()
    moved.flat[after] += 1
    assert share_moved(again, moved) == pytest.approx((before != after) / again.sum())


def test_without_an_evaluation_it_is_asked_on_generated_pixels(made: Path) -> None:
    found = load_and_ask(made / "bundle", None, None)
    assert (found.faults, found.images) == ([], 0)


def test_a_hostile_file_is_a_fault_and_is_not_loaded(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "bundle", tmp_path / "bundle"))
    hostile("lambda", made / "bundle/model.keras", folder)
    [fault] = load_and_ask(folder, made / "evaluation", None).faults
    assert "names the class keras.layers.Lambda" in fault


def test_who_does_not_answer_in_time_is_asked_again_and_then_given_up(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    assert query(made / "bundle", made / "evaluation") is None

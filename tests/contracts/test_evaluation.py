from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import BINS, STORED, Counts, Evaluation, input_key, read_evaluation, write_evaluation


@pytest.fixture
def evaluation(idd_level1: ClassTable) -> Evaluation:
    rng = np.random.default_rng(0)
    shapes = {"confusion": (5, 7, 8), "boundary": (5, 7, 4), "reliability": (5, BINS, 3)}
    arrays = {name: rng.integers(0, 2**31, shape).astype(STORED[name]) for name, shape in shapes.items()}
    images = pa.table(
        {"sample": list("abcde"), "drive": ["x", "x", None, None, "y"], "miou": [0.1, 0.2, 0.3, 0.4, None]}
    )
    return Evaluation(images, Counts(**arrays, classes=idd_level1))


def test_what_is_written_is_read_again(tmp_path: Path, evaluation: Evaluation) -> None:
    write_evaluation(tmp_path, evaluation)
    found = read_evaluation(tmp_path)
    assert (found.weights, found.val_manifest) == (None, None)
    assert found.images.equals(evaluation.images)
    assert found.counts.classes == evaluation.counts.classes
    for name, dtype in STORED.items():
        stored = np.load(tmp_path / f"{name}.npy")
        assert stored.dtype == dtype
        np.testing.assert_array_equal(stored, getattr(evaluation.counts, name))
        np.testing.assert_array_equal(getattr(found.counts, name), stored)


def test_what_was_evaluated_and_on_what_is_kept(tmp_path: Path, evaluation: Evaluation) -> None:
    write_evaluation(tmp_path, replace(evaluation, weights="a" * 64, val_manifest="b" * 64))
    found = read_evaluation(tmp_path)
    assert (found.weights, found.val_manifest) == ("a" * 64, "b" * 64)
    assert found.images.equals(evaluation.images)


def test_equal_counts_give_equal_bytes(tmp_path: Path, evaluation: Evaluation) -> None:
    for name in ("one", "two"):
        write_evaluation(tmp_path / name, evaluation)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize("name", ["images.parquet", *(f"{name}.npy" for name in STORED)])
def test_a_part_that_is_missing_or_damaged_is_named_with_the_remedy(
    tmp_path: Path, evaluation: Evaluation, name: str
) -> None:
    write_evaluation(tmp_path, evaluation)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"is damaged .*dvc repro evaluate"):
        read_evaluation(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UsageError, match=f"{name} is missing: run `dvc repro evaluate`"):
        read_evaluation(tmp_path)


def test_an_evaluation_of_before_is_refused_with_the_remedy(tmp_path: Path, evaluation: Evaluation) -> None:
    write_evaluation(tmp_path, evaluation)
    pq.write_table(evaluation.images, tmp_path / "images.parquet")
    with pytest.raises(UsageError, match="has schema None, not 'roadseg/evaluation/2': run `dvc repro evaluate`"):
        read_evaluation(tmp_path)


def test_parts_of_different_evaluations_do_not_fit(tmp_path: Path, evaluation: Evaluation) -> None:
    write_evaluation(tmp_path, evaluation)
    np.save(tmp_path / "boundary.npy", evaluation.counts.boundary[:3])
    with pytest.raises(UsageError, match="5 rows"):
        read_evaluation(tmp_path)


def test_an_image_without_a_drive_is_one_of_its_own(evaluation: Evaluation) -> None:
    assert evaluation.drives == ["x", "x", "image c", "image d", "y"]


def test_sums_over_groups_and_weights_are_exact(evaluation: Evaluation) -> None:
    counts = evaluation.counts
    groups = counts.grouped(np.array([0, 1, 0, 2, 1]))
    for name in STORED:
        of_images, of_groups = getattr(counts, name).astype(np.int64), getattr(groups, name)
        np.testing.assert_array_equal(of_groups[1], of_images[1] + of_images[4])
        np.testing.assert_array_equal(getattr(groups.total(), name), getattr(counts.total(), name))
        weighted = getattr(counts.weighted(np.array([[2, 0, 0, 1, 0]])), name)
        np.testing.assert_array_equal(weighted[0], 2 * of_images[0] + of_images[3])


def test_no_images_are_counts_of_nothing(idd_level1: ClassTable) -> None:
    empty = Counts.stack([], idd_level1)
    assert len(empty) == 0
    assert empty.confusion.shape == (0, 7, 8)
    assert not empty.total().confusion.any()


def test_whatever_decides_an_evaluation_changes_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"flip": False, "precision": "float32"}
    given = ("a" * 64, "b" * 64, settings)
    key = input_key(*given)
    assert key == input_key(*given[:2], dict(reversed(settings.items())))
    others = {input_key(*given[:n], other, *given[n + 1 :]) for n, other in enumerate(("c", "d", {"flip": True}))}
    monkeypatch.setattr("roadseg.contracts.evaluation.code_digests", lambda *names: {"predict/predictor.py": "e"})
    assert len({key, *others, input_key(*given)}) == 5

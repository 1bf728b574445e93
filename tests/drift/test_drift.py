"""The whole way from a folder of pictures to the answer, on generated scenes; benchmarks/drift.py has real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drifting import DRIVES, EACH, frames, new_pictures, predictor_in, reference_of, seen_in

from benchmarks.drift import blurrier, darker, foggier, noisier
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import read_json
from roadseg.drift.finding import Finding, find_drift, write_finding
from roadseg.drift.measure import measure
from roadseg.drift.reference import Reference, read_seen, write_seen
from roadseg.predict.predictor import Predictor

Look = Callable[[Callable[..., np.ndarray], float], Finding]


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return predictor_in(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def reference(many_drives: Path, predictor: Predictor) -> Reference:
    return reference_of(many_drives, predictor)


@pytest.fixture
def look(many_drives: Path, reference: Reference, predictor: Predictor, tmp_path: Path) -> Look:
    def at(harm: Callable[..., np.ndarray], strength: float) -> Finding:
        rng = np.random.default_rng(0)
        folder = new_pictures(many_drives, tmp_path / "new", lambda image: harm(image, strength, rng))
        return seen_in(folder, reference, predictor).finding

    return at


def test_new_drives_of_the_same_kind_are_no_drift(look: Look) -> None:
    found = look(darker, 0.0)
    assert found.drifted == []
    assert found.sentence == f"no drift in {EACH * DRIVES['test']} pictures of {DRIVES['test']} drives"


@pytest.mark.parametrize(
    ("harm", "strength", "figure"),
    [(darker, 0.4, "brightness"), (foggier, 0.4, "haze"), (blurrier, 1.5, "sharpness"), (noisier, 10, "noise")],
)
def test_worse_pictures_are_found_and_the_figure_that_says_how_is_named(
    look: Look, harm: Callable[..., np.ndarray], strength: float, figure: str
) -> None:
    found = look(harm, strength)
    assert figure in [shift.figure for shift in found.drifted]
    assert found.sentence.startswith("drift in ")
    assert f"{figure} {'lower' if harm in (darker, blurrier) else 'higher'} (" in found.sentence


def test_both_families_share_the_level_and_a_near_distance_counts_for_nothing(
    reference: Reference, predictor: Predictor, many_drives: Path, tmp_path: Path
) -> None:
    folder = new_pictures(many_drives, tmp_path / "new", lambda image: image // 2)
    new = seen_in(folder, reference, predictor).new
    found = find_drift(reference, new, permutations=999)
    assert {family.name: family.drives for family in found.families} == {"picture": (22, 10), "answer": (12, 10)}
    [brightness] = [shift for shift in found.drifted if shift.figure == "brightness"]
    assert brightness.probability == pytest.approx(2 / 1000, abs=1e-9), "one of a thousand, for each of two families"
    assert find_drift(reference, new, level=0.001, permutations=999).drifted == []
    assert find_drift(reference, new, distance=1.0, permutations=999).drifted == []


def test_drives_too_few_to_tell_are_said_to_be(reference: Reference, predictor: Predictor) -> None:
    one = reference.split("val").iloc[:EACH]
    assert one["drive"].nunique() == 1
    found = find_drift(reference, one)
    assert [family.tellable for family in found.families] == [False, False]
    assert "too few drives to tell by the picture or the answer" in found.sentence


def test_a_broken_picture_is_left_out_and_named(
    many_drives: Path, reference: Reference, predictor: Predictor, tmp_path: Path
) -> None:
    folder = new_pictures(many_drives, tmp_path / "new")
    (folder / "broken.jpg").write_bytes(b"no picture")
    found = seen_in(folder, reference, predictor).finding
    assert found.frames == EACH * DRIVES["test"]
    [fault] = found.faults
    assert fault.startswith(f"{folder}/broken.jpg: not a picture")


def test_figures_of_pictures_are_the_same_with_and_without_a_model(many_drives: Path, predictor: Predictor) -> None:
    some = frames(many_drives, "val")[:6]
    alone, _ = measure(some)
    answered, _ = measure(some, predictor)
    assert answered[list(alone)].equals(alone)
    assert list(answered["name"]) == [frame.name for frame in some]


def test_a_reference_reads_back_as_it_was_written_and_equal_rows_give_equal_bytes(
    reference: Reference, tmp_path: Path
) -> None:
    kept = Reference(reference.rows, "w" * 64, {"flip": True, "scales": [1.0]})
    write_seen(tmp_path / "a.parquet", kept)
    write_seen(tmp_path / "b.parquet", Reference(kept.rows.sample(frac=1, random_state=0), "w" * 64, kept.settings))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = read_seen(tmp_path / "a.parquet")
    assert (read.weights, read.settings) == (kept.weights, kept.settings)
    assert read.split("val")["confidence"].notna().all()
    assert read.split("train")["confidence"].isna().all()
    (tmp_path / "a.parquet").write_bytes(b"cut")
    with pytest.raises(UsageError, match="is missing or damaged"):
        read_seen(tmp_path / "a.parquet")


def test_the_finding_is_written_for_programs_too(look: Look, tmp_path: Path) -> None:
    found = look(darker, 0.5)
    write_finding(tmp_path / "drift.json", found)
    read = read_json(tmp_path / "drift.json", "drift-finding", "")
    assert read["drifted"][0] == found.drifted[0].figure
    assert read["sentence"] == found.sentence
    assert read["families"][0]["shifts"][0]["figure"] == "brightness"

"""What is picked of measured pictures: none twice, none that is there, the best first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.labelling.choose import (
    SCENE_BITS,
    By,
    Known,
    choose_pictures,
    may_be_picked,
    nearest_distance,
    scenes,
    surprise,
)
from roadseg.labelling.measure import UNSURE, judge_answer, kind_of

CLASSES, WIDTH = 3, 4
HASHES = np.random.default_rng(1).integers(0, 1 << 63, 200, np.uint64)  # far from one another


def pictures(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.zeros(count, kind_of(CLASSES, WIDTH))
    found["sha"] = rng.integers(1, 256, (count, 32), np.uint8)
    found["phash"], found["contrast"] = HASHES[:count], 0.2
    found["uncertain"], found["shares"] = rng.random(count), rng.dirichlet(np.ones(CLASSES), count)
    found["embedding"] = rng.standard_normal((count, WIDTH))
    return found


def known(**given_: object) -> Known:
    nothing = {"embeddings": np.zeros((0, WIDTH), np.float32), "shas": frozenset(), "hashes": np.zeros(0, np.uint64)}
    return Known(**nothing | {"shares": np.full(CLASSES, 1 / CLASSES)} | given_)  # type: ignore[arg-type]


def places(some: np.ndarray, there: Known, count: int, by: By = "mixed", scene: np.ndarray | None = None) -> list[int]:
    own = np.arange(len(some)) if scene is None else scene
    return [one.place for one in choose_pictures(some, own, there, count, by=by, bits=4)]


@pytest.mark.parametrize("by", ["mixed", "uncertainty", "random"])
def test_none_is_picked_twice_and_equal_pictures_give_equal_picks(by: By) -> None:
    first = places(pictures(50), known(), 20, by)
    assert len(set(first)) == 20
    assert places(pictures(50), known(), 20, by) == first
    assert sorted(places(pictures(50), known(), 99, by)) == list(range(50))


def test_by_doubt_alone_the_most_in_doubt_come_first() -> None:
    some = pictures(50)
    assert places(some, known(), 50, "uncertainty") == np.argsort(-some["uncertain"], kind="stable").tolist()


def test_what_cannot_be_read_is_there_or_is_nearly_there_is_left_out() -> None:
    some = pictures(8)
    some["sha"][0] = 0
    some["sha"][2] = some["sha"][1]  # a copy within the source
    there = known(
        shas=frozenset([some["sha"][3].tobytes()]),
        hashes=np.array([some["phash"][4] ^ np.uint64(0b1111), some["phash"][5] ^ np.uint64(0b11111)], np.uint64),
    )
    assert may_be_picked(some, there, 4).tolist() == [False, True, False, False, False, True, True, True]
    some["contrast"][4] = 0.001  # its hash is noise
    assert may_be_picked(some, there, 4)[4]


def test_of_near_copies_one_is_picked() -> None:
    some = pictures(4)
    some["phash"][1] = some["phash"][0] ^ np.uint64(0b111)
    assert len(places(some, known(), 4)) == 3


def test_of_a_scene_one_is_picked_but_where_that_is_not_asked_for() -> None:
    scene = np.array([0, 0, 0, 1, 1, 2])
    chosen = places(pictures(6), known(), 6, "mixed", scene)
    assert sorted(scene[chosen]) == [0, 1, 2]
    assert len(places(pictures(6), known(), 6, "random", scene)) == 6


def test_what_is_unlike_all_that_is_labelled_goes_before_what_is_like_it() -> None:
    some = pictures(3)
    some["uncertain"], some["shares"] = 0.5, 1 / CLASSES
    some["embedding"] = [[1, 0, 0, 0], [0.9, 0.1, 0, 0], [-1, 0, 0, 0]]
    labelled = np.array([[1, 0.05, 0, 0], [0.95, 0, 0.05, 0], [0, 1, 0, 0]], np.float32)
    assert places(some, known(embeddings=labelled), 1) == [2]


def test_rare_classes_surprise_more() -> None:
    shares = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.5, 0.4, 0.1]])
    found = surprise(shares, np.array([0.9, 0.1, 0.0]))
    assert found[0] < found[1] < found[2]


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_a_distance_is_that_to_the_nearest(count: int, others: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, labelled = rng.standard_normal((count, 3), np.float32), rng.standard_normal((others, 3), np.float32)
    vectors, labelled = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, labelled))
    slow = [max(0.0, min([1 - float(one @ other) for other in labelled], default=1.0)) for one in vectors]
    np.testing.assert_allclose(nearest_distance(vectors, labelled), slow, atol=1e-5)


def test_a_scene_ends_with_its_drive_where_the_picture_changes_and_goes_on_in_two_seconds() -> None:
    look, same, other = np.uint64(0), np.uint64((1 << SCENE_BITS) - 1), np.uint64((1 << 40) - 1)
    hashes = np.array([look, same, other, other, look], np.uint64)
    assert scenes(["a", "a", "a", "b", "b"], [None] * 5, hashes).tolist() == [0, 0, 1, 2, 3]
    assert scenes(["a"] * 5, [0.0, 9.0, 10.5, 30.0, 40.0], hashes).tolist() == [0, 0, 0, 0, 1]


def test_a_model_is_in_doubt_over_areas_not_along_outlines() -> None:
    sure = np.zeros((60, 80, CLASSES), np.float32)
    sure[:, :40, 0], sure[:, 40:, 1] = 0.99, 0.99
    sure[..., 2] = 0.01
    outline = sure.copy()
    outline[:, 40] = 1 / CLASSES
    assert not judge_answer(outline).unsure.any()
    area = sure.copy()
    area[10:30, 5:25] = [UNSURE - 0.1, 0.3, 0.1]
    looked = judge_answer(area)
    assert looked.unsure[10:30, 5:25].all()
    assert looked.unsure.sum() == 400
    np.testing.assert_allclose(looked.shares, area.mean((0, 1)), atol=1e-5)

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from benchmarks.label_errors import ERRORS, wrong_labels
from benchmarks.labels import compare, score
from roadseg.imaging.masks import decode_mask
from roadseg.labelling.disputes import DOUBT, MIN_SHARE, describe_areas, disputed_areas

CLASSES, VOID = 4, 255


def sure_of(mask: np.ndarray, confidence: float = 0.97) -> np.ndarray:
    """Probabilities of a model that predicts the mask, equally sure everywhere."""
    rest = (1 - confidence) / (CLASSES - 1)
    return np.where(np.arange(CLASSES) == mask[..., None], confidence, rest).astype(np.float32)


@pytest.fixture
def street() -> np.ndarray:
    """Sky, road, a car on it and a strip of void, uint8 (180, 320)."""
    mask = np.zeros((180, 320), np.uint8)
    mask[80:] = 1
    mask[100:140, 60:120] = 2
    mask[:, 300:] = VOID
    return mask


def test_a_label_that_the_model_shares_is_not_disputed(street: np.ndarray) -> None:
    assert not disputed_areas(street, sure_of(street)).any()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pixels", [-2, -1, 1, 2])
def test_outlines_that_lie_beside_each_other_are_not_disputed(street: np.ndarray, pixels: int, axis: int) -> None:
    seen = np.take(street, np.arange(street.shape[axis]) + pixels, axis, mode="clip")
    assert not disputed_areas(street, sure_of(seen)).any()


def test_an_area_that_nobody_labelled_is_found_whole_with_its_classes_and_box(street: np.ndarray) -> None:
    overlooked = np.where(street == 2, 1, street).astype(np.uint8)
    areas, probabilities = disputed_areas(overlooked, sure_of(street, 0.98)), sure_of(street, 0.98)
    np.testing.assert_array_equal(areas > 0, street == 2)
    [found] = describe_areas(areas, overlooked, probabilities)
    assert (found.given, found.predicted, found.box) == (1, 2, (60, 100, 120, 140))
    assert found.confidence == pytest.approx(0.98)
    assert found.share == pytest.approx(40 * 60 / (180 * 300)), "of what is labelled"


def test_an_area_of_the_wrong_class_counts_up_to_its_outline(street: np.ndarray) -> None:
    other = np.where(street == 2, 3, street).astype(np.uint8)
    np.testing.assert_array_equal(disputed_areas(other, sure_of(street)) > 0, street == 2)


def test_a_model_that_is_not_sure_disputes_nothing(street: np.ndarray) -> None:
    other = np.where(street == 2, 3, street).astype(np.uint8)
    unsure = sure_of(street, 1 - 3.1 * DOUBT)
    assert (unsure.argmax(-1) != other).sum() > 2000
    assert not disputed_areas(other, unsure).any()


def test_an_area_needs_a_size_away_from_outlines(street: np.ndarray) -> None:
    found = []
    for side in range(4, 12):
        speck = street.copy()
        speck[10 : 10 + side, 200 : 200 + side] = 3
        found.append(disputed_areas(street, sure_of(speck)).any())
    assert found == [side**2 >= MIN_SHARE * street.size for side in range(4, 12)]
    assert {True, False} == set(found)


def test_areas_come_largest_first_and_each_with_its_own_classes(street: np.ndarray) -> None:
    seen = street.copy()
    seen[5:25, 5:25], seen[5:65, 80:160] = 3, 2
    areas = disputed_areas(street, sure_of(seen))
    found = describe_areas(areas, street, sure_of(seen))
    assert [(each.predicted, each.box) for each in found] == [(2, (80, 5, 160, 65)), (3, (5, 5, 25, 25))]
    assert sum(each.share for each in found) == pytest.approx((areas > 0).sum() / (street < CLASSES).sum())


@given(arrays(np.uint8, (12, 16), elements=st.sampled_from([0, 1, 2, 3, 200, VOID])), st.integers(0, 99))
def test_only_labelled_pixels_that_are_all_but_ruled_out_are_in_doubt(label: np.ndarray, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet([0.1] * CLASSES, label.shape).astype(np.float32)
    areas = disputed_areas(label, probabilities)
    doubted = areas > 0
    assert (label[doubted] < CLASSES).all()
    assert (probabilities[doubted, label[doubted]] < DOUBT).all()
    assert len(describe_areas(areas, label, probabilities)) == areas.max()


def test_a_label_of_void_alone_is_not_disputed() -> None:
    label = np.full((20, 30), VOID, np.uint8)
    areas = disputed_areas(label, sure_of(np.zeros_like(label)))
    assert describe_areas(areas, label, sure_of(np.zeros_like(label))) == []


def imperfect(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of a model, 7 classes, that errs in patches, in some images more, and there is less sure."""
    truth = gaussian_filter((mask[..., None] == np.arange(7)).astype(np.float64), (2, 2, 0))
    noise, hard = gaussian_filter(rng.normal(size=truth.shape), (9, 9, 0)), rng.random()
    logits = (9 * truth + 5 * hard * noise / noise.std()) / (1 + 2 * hard)
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray((odds / odds.sum(-1, keepdims=True)).astype(np.float32))


def test_made_errors_are_found_by_areas_in_doubt_where_mistakes_mislead(scenes: Path) -> None:
    labels, rng = (
        [decode_mask(path.read_bytes()) for path in sorted(scenes.rglob("*_label.png"))],
        np.random.default_rng(0),
    )
    made = wrong_labels(labels, 7, share=0.5, seed=1)
    kinds = np.array([made[number][0] if number in made else "" for number in range(len(labels))])
    assert {*kinds} == {"", *ERRORS}
    drawn = [made[number][1] if number in made else label for number, label in enumerate(labels)]
    table = compare(score((label, imperfect(mask, rng)) for label, mask in zip(drawn, labels, strict=True)), kinds)
    ours = table["areas in doubt, as roadseg label check"]
    assert ours["ap"] == max(figures["ap"] for figures in table.values())
    assert min(ours[kind] for kind in ERRORS) > 0.95
    assert table["mistakes"]["ap"] < table["mistakes surer than 0.7"]["ap"] < ours["ap"], "or nothing misleads here"

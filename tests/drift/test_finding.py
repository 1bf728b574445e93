import pytest

from roadseg.drift.finding import NAMED, Family, Finding
from roadseg.drift.two_sample import Shift


def finding(*shifts: Shift, tellable: bool = True) -> Finding:
    return Finding([Family("picture", list(shifts), (40, 10), tellable)], 0.01, 0.2, 30, [])


def shift(figure: str, probability: float = 0.001, distance: float = 0.5, after: float = 2.0) -> Shift:
    return Shift(figure, distance, 4.0, probability, 1.0, after)


@pytest.mark.parametrize(
    ("probability", "distance", "drifts"), [(0.01, 0.2, True), (0.011, 0.9, False), (0.0001, 0.19, False)]
)
def test_a_figure_drifts_where_it_is_sure_and_far_enough(probability: float, distance: float, drifts: bool) -> None:
    assert bool(finding(shift("haze", probability, distance)).drifted) is drifts


def test_the_surest_are_named_first_with_their_direction_and_the_rest_is_counted() -> None:
    many = [shift(f"share of {number}", 0.002) for number in range(NAMED + 1)]
    said = finding(*many, shift("noise", 0.0005, after=0.5), shift("warmth", after=1.0)).sentence
    assert said.startswith(
        "drift in 30 pictures of 10 drives: noise lower (1 to 0.5), warmth spread otherwise (1 to 1), "
    )
    assert said.endswith(" and 3 more")


def test_too_few_drives_are_said_whatever_was_found() -> None:
    few = "; too few drives to tell by the picture: give each a folder of its own"
    assert finding(shift("haze", 1.0), tellable=False).sentence == f"no drift in 30 pictures of 10 drives{few}"

from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from rivals import VALUES, policy
from trees import ROOT

from roadseg.contracts.params import read_params
from roadseg.gate.policy import Policy
from roadseg.pipeline.graph import read_graph
from roadseg.pipeline.runner import SECTIONS, STAGES


def test_the_project_s_own_policy_is_read_with_the_stages_sections() -> None:
    assert read_params(SECTIONS, ROOT / "params.yaml")["promote"] == policy()
    assert set(SECTIONS) - set(STAGES) == {"promote"}


def test_an_edit_of_the_policy_reruns_no_stage() -> None:
    assert not [stage.name for stage in read_graph(ROOT) if "promote" in stage.params]
    content = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    assert not [name for name, stage in content["stages"].items() if "src/roadseg/registry" in stage["deps"]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("approval", 1),
        ("confidence", 0.4),
        ("confidence", 1.0),
        ("gain", -0.001),
        ("loss", 2.0),
        ("drives", 1),
        ("miou_min", 55.0),
        ("iou_min", {"sky": 2.0}),
        ("iou_min", None),
        ("slice_images", 0),
        ("regressions", 0.5),
        ("size_factor", 0.9),
        ("tolerance", 0.1),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        Policy(**VALUES | {key: value})

from typing import Any

import pytest

from flows.options import Group, Overrides, RetrainOptions, check, overridden
from flows.retrain import retrain
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.runner import SECTIONS, STAGES


def test_the_form_has_every_parameter_of_every_stage_with_its_description_and_bounds() -> None:
    schema = Overrides.model_json_schema()
    assert list(schema["properties"]) == list(STAGES)
    for name in STAGES:
        form = schema["$defs"][f"{name.capitalize()}Overrides"]
        assert form["additionalProperties"] is False
        for key, field in SECTIONS[name].model_fields.items():
            assert form["properties"][key]["description"].startswith(field.description)
            assert "default" not in form["properties"][key]
            assert {"type": "null"} not in form["properties"][key].get("anyOf", [])
    train = schema["$defs"]["TrainOverrides"]["properties"]
    assert train["epochs"]["description"].endswith("(above 0)")
    assert (train["epochs"]["type"], train["epochs"]["exclusiveMinimum"]) == ("integer", 0)


def test_the_flow_takes_what_its_options_name_with_equal_defaults_and_explains_each() -> None:
    form = retrain.parameters.properties
    assert list(form) == list(RetrainOptions.model_fields)
    assert all(shown["description"] for shown in form.values())
    shown = {name: form[name]["default"] for name in form if name != "overrides"}
    assert shown == RetrainOptions().model_dump(exclude={"overrides"})
    assert form["overrides"]["default"] == {}  # what is prefilled is sent, and would hide later changes of params.yaml


def test_only_what_was_given_is_overridden() -> None:
    form: dict[str, Any] = {"train": {"epochs": 24, "batch": None}, "evaluate": {"flip": False}, "scan": {}}
    asked = check(RetrainOptions, {"overrides": form})
    assert overridden(asked.overrides) == {"train": {"epochs": 24}, "evaluate": {"flip": False}}
    assert overridden(RetrainOptions().overrides) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"overrides": {"train": {"epoch": 3}}}, "overrides.train.epoch: Extra inputs are not permitted, found 3"),
        ({"overrides": {"train": {"epochs": 0}}}, "overrides.train.epochs: Input should be greater than 0, found 0"),
        ({"overrides": {"promote": {"gain": 0.0}}}, "overrides.promote: Extra inputs are not permitted"),
        ({"revision": "--upload-pack=x"}, "revision: String should match pattern"),
        ({"when_busy": "never", "force": "yes"}, "when_busy: Input should be 'wait', 'skip' or 'replace'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        check(RetrainOptions, given)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_fault_is_named() -> None:
    class Two(Group):
        first: int
        second: int

    with pytest.raises(UsageError, match=r"first: .*; second: "):
        check(Two, {"first": "a", "second": "b"})

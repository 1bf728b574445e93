"""Costs are counted from the layers, and agree with what is known of each model."""

import json
from pathlib import Path

import keras
import pytest
from narrow_models import CLASSES
from trees import ROOT
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError
from roadseg.train.models.cost import cost
from roadseg.train.models.known import MODELS, Architecture


def test_tutorial_takes_the_gflop_that_are_known() -> None:
    found = cost(MODELS["tutorial"], CLASSES, 128, 128)
    assert 2 * found.multiply_adds / 1e9 == pytest.approx(25.4, abs=0.05)
    assert found.parameters == 34_513_735


def test_the_family_grows_by_name() -> None:
    costs = [cost(MODELS[name], CLASSES, 128, 256) for name in ("small", "base", "large")]
    parameters = [found.parameters / 1e6 for found in costs]
    assert parameters == pytest.approx([2.00, 3.55, 21.67], abs=0.01)
    for figure in ("multiply_adds", "activation_bytes"):
        figures = [getattr(found, figure) for found in costs]
        assert figures == sorted(set(figures))


def test_each_layer_is_counted_by_its_definition() -> None:
    def build(classes: int) -> keras.Model:
        image = keras.Input((None, None, 3), dtype="uint8", name="image")
        x = keras.layers.Conv2D(5, 3, strides=2, padding="same")(image)  # 4 x 6 places
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Conv2DTranspose(classes, 2, strides=2)(x)  # from 4 x 6 places to 8 x 12
        return keras.Model(image, x)

    found = cost(Architecture(build, 2, 1, "logits"), 4, 8, 12)
    assert found.parameters == (27 * 5 + 5) + 4 * 5 + (4 * 5 * 4 + 4)
    assert found.multiply_adds == 4 * 6 * 27 * 5 + 4 * 6 * 4 * 5 * 4
    assert found.weight_bytes == 4 * found.parameters
    assert found.activation_bytes == 4 * (2 * 4 * 6 * 5 + 8 * 12 * 4)


def test_the_verb_describes_every_model_at_the_working_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = CliRunner().invoke(app, ["models", "describe", "--json"])
    assert found.exit_code == 0, found.output
    described = json.loads(found.output)
    assert set(described) == {name for name, known in MODELS.items() if known.encoder is None}
    assert described["small"]["multiply_adds"] == cost(MODELS["small"], 7, 128, 256).multiply_adds


def test_people_read_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # both sides are given, so params.yaml is not needed
    said = CliRunner().invoke(app, ["models", "describe", "tutorial", "--height", "128", "--width", "128"])
    assert said.exit_code == 0, said.output
    for word in ("34.51 M", "12.72 G", "131.7 MiB", "16"):
        assert word in said.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["huge"], "there are small, base, large, tutorial, lite0, "),
        (["small", "--height", "100", "--width", "64"], "of 16"),
    ],
)
def test_what_cannot_be_described_is_said(arguments: list[str], said: str) -> None:
    error = CliRunner().invoke(app, ["models", "describe", *arguments]).exception
    assert isinstance(error, UsageError)
    assert said in str(error)

"""The hub's own reader takes the card, and MLflow shows its text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard
from mlflow import MlflowClient
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import read_scores
from roadseg.registry import card
from roadseg.registry.card import LONGEST, ancestors, shortened, write_card
from roadseg.registry.versions import MODEL
from roadseg.tracking.store import create_run

Enter = Callable[..., int]


@pytest.fixture
def entered(enter: Enter) -> str:
    return str(enter())


def description(client: MlflowClient, version: str = "1") -> str:
    return str(client.get_model_version(MODEL, version).description)


def test_the_hub_reads_the_figures_of_the_evaluation(client: MlflowClient, entered: str, sent: Any) -> None:
    read = ModelCard(write_card(entered, "apache-2.0")[0])  # it raises where the front matter is not the hub's
    scores = read_scores(sent.tree / "reports/evaluation")
    assert (read.data.library_name, read.data.pipeline_tag) == ("keras", "image-segmentation")
    assert read.data.license == "apache-2.0"
    assert read.data.model_name == "roadseg-1"
    results = {result.metric_name: result for result in read.data.eval_results}
    assert all(isinstance(result, EvalResult) for result in results.values())
    assert results["mean IoU"].metric_value == scores["miou"]
    by_class = {f"IoU of {key[4:]}": value for key, value in scores.items() if key.startswith("iou.")}
    assert len(by_class) == 7
    for name, value in by_class.items():
        assert (name in results) == (value is not None)
        assert value is None or results[name].metric_value == value
    assert ModelCard(str(read)).data.to_dict() == read.data.to_dict()


def test_people_read_what_is_stored(client: MlflowClient, entered: str, sent: Any) -> None:
    text = write_card("candidate")[0]
    trained = json.loads((sent.tree / "models/bundle/card.json").read_text())
    scores = read_scores(sent.tree / "reports/evaluation")
    for section in ("Intended use", "Figures", "Limits", "Data", "Parents", "Training", "Classes"):
        assert f"\n## {section}\n" in text
    assert scores["drives"] == 1  # so no interval is known
    assert f"| miou | {scores['miou']:.4f} |  |" in text
    assert f"judged on {scores['images']} images of 1 other drive." in text
    assert trained["weights"][:12] in text
    assert "none: it started from random weights" in text
    assert "license:" not in text


def test_intervals_that_are_known_are_told() -> None:
    assert card._interval({"low": 0.25, "high": 0.5}, "low", "high") == "0.250 to 0.500"
    assert card._interval({"low": None, "high": 0.5}, "low", "high") == ""


def test_the_text_becomes_the_description_once(
    client: MlflowClient, entered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, described = write_card(entered)
    assert described
    assert description(client) == text.split("---\n", 2)[2]
    monkeypatch.setattr(MlflowClient, "update_model_version", lambda *_: pytest.fail("written a second time"))
    assert write_card(entered)[0] == text


def test_what_a_person_wrote_stays(client: MlflowClient, entered: str, tmp_path: Path) -> None:
    client.update_model_version(MODEL, entered, "the one for the fair")
    done = CliRunner().invoke(app, ["models", "card", entered, "--out", str(tmp_path / "README.md")])
    assert "written by a person" in done.output
    assert description(client) == "the one for the fair"
    assert ModelCard.load(tmp_path / "README.md").data.model_name == "roadseg-1"


def test_registering_describes(client: MlflowClient, sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sent.tree)
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    assert CliRunner().invoke(app, ["register"]).exit_code == 0
    assert description(client).startswith("# roadseg version 1\n")


def test_a_long_card_is_cut_between_sections() -> None:
    sections = [f"\n\n## {number}\n\n" + "x" * 900 for number in range(8)]
    text = "# roadseg version 3\n" + "".join(sections)
    short = shortened(text, 3)
    kept, _, rest = short.partition("\n\nThe rest: ")
    assert len(short) <= LONGEST
    assert kept == "# roadseg version 3\n" + "".join(sections[:5])
    assert rest == "`roadseg models card 3`\n"
    assert shortened(kept, 3) == kept


def test_parents_are_named_with_their_versions(client: MlflowClient, enter: Enter, sent: Any) -> None:
    enter()
    child, grandchild = (create_run(client, letter * 64).info.run_id for letter in "cd")
    client.set_tag(child, "roadseg.parent", sent.published.fingerprint)
    client.set_tag(grandchild, "roadseg.parent", "c" * 64)
    first = f"training `{sent.published.fingerprint[:12]}`: version 1"
    assert ancestors(client, grandchild) == [f"training `{'c' * 12}`: never registered", first]
    assert ancestors(client, sent.published.run_id) == []
    client.set_tag(sent.published.run_id, "roadseg.parent", "d" * 64)  # nothing forbids a circle of tags
    assert len(ancestors(client, grandchild)) == 3


def test_an_encoder_is_the_last_of_the_parents(client: MlflowClient) -> None:
    run_id = create_run(client, "c" * 64).info.run_id
    client.set_tag(run_id, "roadseg.parent", "pretrained/lite0")
    assert ancestors(client, run_id) == ["pretrained encoder `lite0`: none of the drives here"]


def test_a_version_that_register_did_not_make_has_no_card(client: MlflowClient, entered: str, sent: Any) -> None:
    number = client.create_model_version(MODEL, f"models:/{sent.published.model_id}").version
    with pytest.raises(UsageError, match="was not made by `roadseg register`"):
        write_card(str(number))

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest
from contenders import BETTER, GOOD, WORSE, Contenders, val_tree
from mlflow import MlflowClient
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.pages.decision_page import SHOWN
from roadseg.registry import decision_page, ledger
from roadseg.registry.decision_page import ledger_page
from roadseg.registry.promote import promote
from roadseg.registry.versions import CHAMPION, version_at
from roadseg.tracking.store import artifact_names

pytestmark = pytest.mark.usefixtures("asked")

PAGE = Path("reports/decision.html")


@pytest.fixture
def drawing(asked: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Does what the process that draws does, in this one."""

    def draw_here(module: str, *arguments: str, **_: Any) -> Any:
        assert module == decision_page.__name__
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        decision_page.main()
        return json.loads(capsys.readouterr().out.rpartition("\n")[2])

    monkeypatch.setattr(decision_page, "follow_parent", lambda: None)
    monkeypatch.setattr(decision_page, "ask", draw_here)


def sent(client: MlflowClient) -> str:
    """The page of the newest entry of the ledger."""
    newest = ledger.ledger_entries(client)[0]
    return Path(mlflow.artifacts.download_artifacts(run_id=newest.run_id, artifact_path=PAGE.name)).read_text()


@pytest.mark.usefixtures("drawing")
def test_every_decision_leaves_a_page_here_and_in_the_ledger(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    assert "first model" in PAGE.read_text()
    assert sent(contenders.client) == PAGE.read_text()
    contenders.enter(WORSE)
    decision = promote()
    html = PAGE.read_text()
    assert "<title>REJECT version 2" in html
    assert f"{decision.candidate.miou:.4f}" in html
    assert html.count("data:image/webp") == SHOWN * 5
    assert sent(contenders.client) == html


@pytest.mark.usefixtures("drawing")
def test_a_dry_run_leaves_a_page_here_alone(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote(dry_run=True)
    assert "<title>PROMOTE version 1" in PAGE.read_text()
    assert ledger.ledger_entries(contenders.client) == []


@pytest.mark.usefixtures("drawing")
def test_pictures_that_are_private_stay_here(contenders: Contenders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    contenders.enter(GOOD)
    promote()
    contenders.enter(BETTER)
    promote()
    assert "data:image/webp" in PAGE.read_text()
    assert "data:image/webp" not in sent(contenders.client)
    assert "<title>PROMOTE version 2" in sent(contenders.client)


def test_where_nothing_can_be_drawn_the_page_comes_without_pictures(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    contenders.enter(BETTER)
    promote()
    assert version_at(contenders.client, CHAMPION) == 2
    html = PAGE.read_text()
    assert "data:image/webp" not in html
    assert html.count("data-class=") == 7
    assert sent(contenders.client) == html


def test_a_page_that_cannot_be_made_stops_no_promotion(
    contenders: Contenders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(decision_page, "make_page", fail)
    contenders.enter(GOOD)
    assert promote().outcome == "PROMOTE"
    assert version_at(contenders.client, CHAMPION) == 1
    assert "warning: no page: OSError: the disk is full" in capsys.readouterr().err
    [entry] = ledger.ledger_entries(contenders.client)
    assert artifact_names(contenders.client, entry.run_id) == {"decision.json"}
    assert ledger_page(1) is None


def test_the_page_shows_the_champion_as_it_was_scored_again(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    val_tree(contenders.tree, drives=20)
    contenders.enter(BETTER)
    decision = promote()
    assert decision.champion
    assert len(decision.drives) == 20
    html = PAGE.read_text()
    assert f"{decision.champion.miou:.4f}" in html
    assert html.count("data-class=") == 7, "its counts are those by the key of the decision"


@pytest.mark.usefixtures("drawing")
def test_the_verb_makes_the_page_again_from_what_is_stored(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    contenders.enter(BETTER)
    promote()
    before = PAGE.read_text()
    PAGE.unlink()
    done = CliRunner().invoke(app, ["report", "decision"])
    assert done.exit_code == 0, done.output
    assert done.output.split()[-1] == str(PAGE)
    assert PAGE.read_text() == before
    done = CliRunner().invoke(app, ["report", "decision", "--no-pictures", "--out", "other.html"])
    assert "data:image/webp" not in Path("other.html").read_text()


def test_the_ledger_page_is_that_of_the_last_decision_on_a_version(contenders: Contenders) -> None:
    for favour in (GOOD, WORSE):
        contenders.enter(favour)
        promote()
    link = ledger_page(2)
    newest = ledger.ledger_entries(contenders.client)[0]
    assert link
    assert link.endswith(f"{newest.run_id}/artifacts/decision.html")
    assert ledger_page(3) is None

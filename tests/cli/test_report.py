from pathlib import Path

import pytest
from judged import accepted_tree, refused_tree
from typer.testing import CliRunner

from roadseg.cli import stages
from roadseg.cli.app import app
from roadseg.cli.stages import pages
from roadseg.contracts.errors import DONE, REFUSED, UsageError
from roadseg.pipeline.runner import make_pages


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(refused_tree(tmp_path / "tree"))
    return tmp_path / "tree"


@pytest.mark.parametrize("out", [None, "elsewhere/page.html"])
def test_the_page_is_written_where_it_is_wanted_and_its_path_is_printed(refused: Path, out: str | None) -> None:
    done = CliRunner().invoke(app, ["report", "data", *(["--out", out] if out else [])])
    assert done.exit_code == 0, done.output
    assert done.output.split() == [out or "reports/data.html"]
    assert "Data refused" in (refused / done.output.strip()).read_text()


def test_after_a_refusal_the_page_is_here_and_in_mlflow(refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pages(pages, "validate", REFUSED)
    assert "Data refused" in (refused / "reports/data.html").read_text()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "page: reports/data.html"
    link = printed[1].removeprefix("page in MLflow: file://")
    assert "Data refused" in Path(link).read_text()


def test_accepted_data_open_no_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(accepted_tree(tmp_path))
    monkeypatch.setattr(stages, "send_refusal", lambda _: pytest.fail("nothing was refused"))
    make_pages(pages, "validate", DONE)
    assert capsys.readouterr().out == "page: reports/data.html\n"


def test_a_page_that_cannot_be_made_is_one_line_and_no_error(refused: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (refused / "reports/flagged.parquet").write_bytes(b"no table")
    make_pages(pages, "validate", REFUSED)
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith("warning: no page: UsageError: ")
    assert "flagged.parquet is damaged" in line


def test_a_dead_mlflow_is_one_line(
    refused: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    make_pages(pages, "validate", REFUSED)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: MLflow did not take the page")


def test_a_search_without_experiments_says_how_to_start_one(refused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roadseg.pipeline.dvc.dvc", lambda tree, *arguments: '[{"rev": "workspace"}]')
    done = CliRunner().invoke(app, ["report", "search"])
    assert isinstance(done.exception, UsageError)
    assert "dvc queue start" in str(done.exception)
    assert not (refused / "reports/search.html").exists()

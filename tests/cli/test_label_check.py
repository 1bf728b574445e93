from pathlib import Path

import pandas as pd
import pytest
from bundles import painter
from doubted import WRONG, doubted_tree
from typer.testing import CliRunner, Result

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(doubted_tree(tmp_path / "tree"))
    return tmp_path / "tree"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["label", "check", *arguments], env={"COLUMNS": "200"})


@pytest.mark.usefixtures("tree")
def test_a_page_and_a_list_are_written_and_named_with_what_to_do_next() -> None:
    done = check()
    assert done.exit_code == 0, done.output
    assert "labels in doubt: 3 of 6 images, in reports/labels.csv; look at them in reports/labels.html" in done.output
    assert "`roadseg data quarantine SAMPLE --reason label`" in done.output
    assert pd.read_csv("reports/labels.csv")["sample"].tolist() == list(WRONG)
    assert Path("reports/labels.html").read_text().count('alt="in doubt of') == 3


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("split", ["train", "val"])
def test_only_the_split_that_is_asked_for_is_looked_at(split: str) -> None:
    assert check("--split", split, "--no-pictures", "-o", "out/page.html").exit_code == 0
    expected = [sample for sample in WRONG if sample.startswith(split)]
    assert pd.read_csv("out/page.csv")["sample"].tolist() == expected


@pytest.mark.usefixtures("tree")
def test_the_list_names_all_where_the_page_shows_some() -> None:
    assert check("--top", "1").exit_code == 0
    assert len(pd.read_csv("reports/labels.csv")) == 3
    assert Path("reports/labels.html").read_text().count("<li data-places") == 1


@pytest.mark.parametrize(
    ("arguments", "missing", "kind", "said"),
    [
        ((), "data/manifest.parquet", UsageError, "run `dvc repro validate`"),
        ((), "models/bundle/model.keras", UsageError, "models/bundle/model.keras is missing"),
        (("--model", "elsewhere"), None, UsageError, "elsewhere/model.keras is missing"),
        (("-o", "reports/labels.csv"), None, UsageError, "give reports/labels.html"),
    ],
)
def test_what_is_missing_is_named(
    tree: Path, arguments: tuple[str, ...], missing: str | None, kind: type[RoadsegError], said: str
) -> None:
    if missing:
        (tree / missing).unlink()
    error = check(*arguments).exception
    assert isinstance(error, kind)
    assert said in str(error)


def test_a_split_without_labels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(doubted_tree(tmp_path / "tree", ["val/c/0"]))
    assert "no labelled sample of train" in str(check("--split", "train").exception)


def test_a_model_of_other_classes_is_refused(tree: Path) -> None:
    painter(tree / "models/bundle", ClassTable.find("road"))
    error = check().exception
    assert isinstance(error, DataRefused)
    assert "knows road, the data are idd-level1" in str(error)


@pytest.mark.usefixtures("tree")
def test_the_old_name_does_the_same_for_a_while_and_says_so_on_stderr() -> None:
    done = CliRunner().invoke(app, ["labels", "--split", "val", "--no-pictures"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "is called `roadseg label check` now" in done.stderr
    assert "is called" not in done.stdout
    assert pd.read_csv("reports/labels.csv")["sample"].tolist() == [name for name in WRONG if name.startswith("val")]

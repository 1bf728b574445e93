from pathlib import Path

import pytest
import yaml
from trees import ROOT

from roadseg.contracts.errors import UsageError
from roadseg.pipeline.settings import change_settings, read_settings


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """The project's own, with a comment behind a value."""
    text = (ROOT / "params.yaml").read_text().replace("  init: none\n", "  init: none  # from scratch\n")
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_one_line_changes_and_its_comment_stays(params: Path) -> None:
    before = params.read_text()
    change_settings(params, "train", {"init": "ab12"})
    assert params.read_text() == before.replace("  init: none  # from scratch\n", "  init: ab12  # from scratch\n")


def test_a_key_of_the_same_name_elsewhere_stays(params: Path) -> None:
    before = yaml.safe_load(params.read_text())
    change_settings(params, "evaluate", {"batch": 3})
    assert yaml.safe_load(params.read_text()) == before | {"evaluate": before["evaluate"] | {"batch": 3}}


@pytest.mark.parametrize("section", ["train", "evaluate"])
def test_a_missing_key_is_added_to_its_section(params: Path, section: str) -> None:
    params.write_text(params.read_text().replace("  init: none  # from scratch\n", ""))
    before = yaml.safe_load(params.read_text())
    change_settings(params, section, {"init": "ab12"})
    assert yaml.safe_load(params.read_text()) == before | {section: before[section] | {"init": "ab12"}}


@pytest.mark.parametrize("content", ["scan: {}\n", "train: {init: none}\n", "", "# nothing yet\n"])
def test_a_section_in_one_line_or_none_is_written_too(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    before = read_settings(path)
    change_settings(path, "train", {"init": "ab12"})
    assert yaml.safe_load(path.read_text()) == before | {"train": {"init": "ab12"}}


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is missing"), ("a: [\n", "is not valid YAML"), ("- a\n", "expected sections, found")],
)
def test_a_file_that_holds_no_sections_is_named_and_stays(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=f"params.yaml.* {said}|params.yaml: {said}"):
        change_settings(path, "train", {"init": "ab12"})
    assert (path.read_text() if path.exists() else None) == content

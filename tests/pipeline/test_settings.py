from pathlib import Path

import pytest
import yaml
from trees import ROOT

from roadseg.contracts.errors import UsageError
from roadseg.pipeline.settings import set_param


@pytest.fixture
def params(tmp_path: Path) -> Path:
    """The project's own, with a comment behind a value."""
    text = (ROOT / "params.yaml").read_text().replace("  init: none\n", "  init: none  # from scratch\n")
    (tmp_path / "params.yaml").write_text(text)
    return tmp_path / "params.yaml"


def test_one_line_changes_and_its_comment_stays(params: Path) -> None:
    before = params.read_text()
    set_param(params, "train", "init", "ab12")
    assert params.read_text() == before.replace("  init: none  # from scratch\n", "  init: ab12  # from scratch\n")


def test_a_key_of_the_same_name_elsewhere_stays(params: Path) -> None:
    before = yaml.safe_load(params.read_text())
    set_param(params, "evaluate", "batch", "3")
    assert yaml.safe_load(params.read_text()) == before | {"evaluate": before["evaluate"] | {"batch": 3}}


@pytest.mark.parametrize("section", ["train", "evaluate"])
def test_a_missing_key_is_added_to_its_section(params: Path, section: str) -> None:
    params.write_text(params.read_text().replace("  init: none  # from scratch\n", ""))
    before = yaml.safe_load(params.read_text())
    set_param(params, section, "init", "ab12")
    assert yaml.safe_load(params.read_text()) == before | {section: before[section] | {"init": "ab12"}}


@pytest.mark.parametrize("content", [None, "scan: {}\n", "train: {init: none}\n"])
def test_where_it_cannot_the_line_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(UsageError, match="write `init: ab12` there yourself"):
        set_param(tmp_path / "params.yaml", "train", "init", "ab12")

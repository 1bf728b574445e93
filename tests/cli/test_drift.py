from pathlib import Path
from typing import Any

import pytest
from drifting import new_pictures, predictor_in, reference_of, seen_in
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.files import read_json
from roadseg.registry import drift


def test_the_verb_says_what_was_found_and_leaves_page_and_figures(
    many_drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_in(tmp_path / "model")
    reference, asked = reference_of(many_drives, predictor), []

    def look(folder: Path, trees: list[Path], **limits: Any) -> Any:
        asked.append((trees, limits))
        return seen_in(folder, reference, predictor)

    monkeypatch.setattr(drift, "look_for_drift", look)
    monkeypatch.chdir(tmp_path)
    folder = new_pictures(many_drives, tmp_path / "new", lambda image: image // 2)
    done = CliRunner().invoke(app, ["drift", str(folder), "--out", "out/page.html", "--level", "0.005"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("drift in 20 pictures of 10 drives: brightness lower (")
    assert "the page is out/page.html" in done.output
    assert "<h1" in (tmp_path / "out/page.html").read_text()
    assert "brightness" in read_json(tmp_path / "out/page.json", "drift-finding", "")["drifted"]
    assert asked == [([tmp_path, tmp_path / "home/workspace"], {"level": 0.005, "distance": 0.2, "most": 2000})]

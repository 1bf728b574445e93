from pathlib import Path

import pathspec
import pytest
from trees import ROOT, touch

from roadseg.scan.not_data import NOT_DATA, files_in, is_data

LEFT = [
    *("._1.jpg", ".DS_Store", ".git/config", ".1.png.swp", "@eaDir/1.jpg", "#recycle/a/1.jpg", "a/Icon\r", "Thumbs.db"),
    *("__MACOSX/1.jpg", "$RECYCLE.BIN/1.jpg", "desktop.ini", "a/1.png~", "#1.png#", "1.jpg.part", "x.py.swp"),
]
KEPT = ["1.jpg", "Icons/1.jpg", "icon1/1.png", "a.b/1.c.png", "recycle/1.jpg", "template/1.jpg", "#1.jpg", "train.txt"]


def test_dvc_passes_over_what_layouts_pass_over() -> None:
    lines = (ROOT / ".dvcignore").read_text().splitlines()
    assert [line for line in lines if not line.startswith("# ")] == list(NOT_DATA)
    as_dvc_reads = pathspec.PathSpec.from_lines("gitwildmatch", lines)
    assert {name: as_dvc_reads.match_file(name) for name in LEFT + KEPT} == {
        name: not is_data(name) for name in LEFT + KEPT
    }


@pytest.mark.parametrize("name", LEFT)
def test_what_systems_and_editors_leave_is_no_data(name: str) -> None:
    assert not is_data(name)


def test_all_else_is_listed_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, *LEFT, *KEPT)
    assert sorted(files_in(tmp_path)) == sorted(KEPT)

import os
import stat
from pathlib import Path

import pytest

from roadseg.contracts.errors import Busy, UsageError
from roadseg.pipeline.dvc import dvc, dvc_environment, refuse_busy


def test_a_failure_says_why_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UsageError, match=r"`dvc add data` in .* failed: .* is not a git repository") as caught:
        dvc(tmp_path, "add", "data")
    assert "\n" not in str(caught.value)


def test_the_site_cache_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    folder = Path(dvc_environment()["DVC_SITE_CACHE_DIR"])
    assert folder.is_relative_to(os.environ["ROADSEG_HOME"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_who_blocks_is_named_and_other_errors_are_not_taken_for_it() -> None:
    refuse_busy("ERROR: failed to reproduce 'train': no such file")
    said = (
        "ERROR: '/tree/models/bundle' is busy, it is being blocked by:\n  (PID 12): dvc repro train\n\nIf there are no"
    )
    with pytest.raises(Busy, match=r"/tree/models/bundle is in use by process 12: wait"):
        refuse_busy(said)

import time
from pathlib import Path
from typing import Any

import pytest

from flows import progress
from roadseg.train.run.journal import Journal
from roadseg.train.run.reporting import Reporter
from roadseg.train.run.throughput import Throughput

SIZES = [(96, 192)] * 4


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """What Prefect is told: percent and words."""
    sent: list[tuple[float, str]] = []

    def send(**what: Any) -> str:
        sent.append((what["progress"], what["description"]))
        return "id"

    monkeypatch.setattr(progress, "create_progress_artifact", send)
    monkeypatch.setattr(progress, "update_progress_artifact", send)
    return sent


def test_a_line_that_train_prints_after_an_epoch_is_shown_and_no_other(
    shown: list[tuple[float, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    reporter = Reporter(Journal(tmp_path), SIZES, monitored=[])  # type: ignore[arg-type]
    throughput = Throughput(_began=time.monotonic() - 600)  # seconds that the epoch took; there is one more
    reporter.after_epoch({"epoch": 3, "loss": 0.5, "learning_rate": 1e-3, "miou": 0.42}, throughput, guess=None)  # type: ignore[arg-type]
    seen = progress.Progress("retrain-progress", ["scan", "train"])
    seen.begin("train")
    for line in ("train: small on 16 images", *capsys.readouterr().out.splitlines()):
        seen.line(line)
    seen.end("done")
    assert [percent for percent, _ in shown] == [0, 50, 87.5, 100]
    assert shown[2][1].startswith("train, epoch 3 of 4: loss 0.5000 monitored mIoU 0.4200")
    assert shown[2][1].endswith(" 10 min left")


def test_a_server_that_takes_nothing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> str:
        raise OSError("away")

    class Log:
        def warning(self, *_: object) -> None: ...

    monkeypatch.setattr(progress, "create_progress_artifact", refuse)
    monkeypatch.setattr(progress, "get_run_logger", Log)
    seen = progress.Progress("retrain-progress", ["scan", "train"])
    seen.begin("train")
    seen.line("epoch 1/2  loss 1")
    seen.end("done")

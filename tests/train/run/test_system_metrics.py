import threading
import time
from pathlib import Path

import pytest

from roadseg.train.run import system_metrics
from roadseg.train.run.journal import Journal, read_journal
from roadseg.train.run.system_metrics import machine_load, watching


def looks(folder: Path) -> list[int]:
    return [entry["step"] for entry in read_journal(folder)[0] if entry["kind"] == "system"]


def wait_for(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(looks(folder)) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_machine_s_figures_stand_in_the_journal_and_go_on_after_a_kill(tmp_path: Path) -> None:
    for wanted in (2, 4):
        with watching(Journal(tmp_path), pause=0.01):
            wait_for(tmp_path, wanted)
    steps = looks(tmp_path)
    assert len(steps) >= 4
    assert steps == list(range(1, len(steps) + 1))
    values = read_journal(tmp_path)[0][-1]["values"]
    assert values["system/system_memory_usage_megabytes"] > 0
    assert 0 <= values["system/cpu_utilization_percentage"] <= 100


def test_no_look_follows_the_end_and_one_that_hangs_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, goes_on = threading.Event(), threading.Event()

    def hanging(_: object) -> dict[str, float]:
        looking.set()
        goes_on.wait(60)
        return {}

    monkeypatch.setattr(system_metrics, "machine_load", hanging)
    monkeypatch.setattr(system_metrics, "PATIENCE", 0.05)
    journal, before = Journal(tmp_path), set(threading.enumerate())
    with watching(journal, pause=0.01):
        assert looking.wait(30)
        [thread] = set(threading.enumerate()) - before
    journal.note("done")
    goes_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert [entry["kind"] for entry in read_journal(tmp_path)[0]] == ["note"]


def test_a_look_that_fails_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def failing(_: object) -> dict[str, float]:
        asked.append(1)
        raise OSError("no /proc here")

    monkeypatch.setattr(system_metrics, "machine_load", failing)
    with watching(Journal(tmp_path), pause=0.01):
        deadline = time.monotonic() + 30
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(asked) >= 3
    assert looks(tmp_path) == []
    assert capsys.readouterr().err.count("no /proc here") == 1


def test_the_load_has_mlflow_s_names_and_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monkeypatch.setenv("PATH", str(tmp_path))  # no driver
    before = system_metrics._transferred()
    monitors, theirs = (CPUMonitor(), DiskMonitor(), NetworkMonitor()), dict[str, list[float]]()
    for monitor in monitors:
        monitor.collect_metrics()
        theirs |= {f"system/{name}": values for name, values in monitor.metrics.items()}
    ours = machine_load(before)
    assert ours.keys() == theirs.keys()
    for name in ("system/system_memory_usage_megabytes", "system/disk_available_megabytes"):
        assert ours[name] == pytest.approx(theirs[name][0], rel=0.2)
    assert 0 <= ours["system/network_receive_megabytes"] < 100  # since the training began, not since the machine did


def test_each_gpu_s_load_is_read_and_what_a_card_does_not_know_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '97, 40000, 80000, 412.5, 700.00'\necho '3, 1000, 80000, [N/A], [N/A]'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu = {name.removeprefix("system/"): value for name, value in machine_load({}).items() if "gpu" in name}
    assert gpu == {
        "gpu_0_utilization_percentage": 97.0,
        "gpu_0_power_usage_watts": 412.5,
        "gpu_0_power_usage_percentage": pytest.approx(100 * 412.5 / 700),
        "gpu_0_memory_usage_megabytes": pytest.approx(41943.04),
        "gpu_0_memory_usage_percentage": 50.0,
        "gpu_1_utilization_percentage": 3.0,
        "gpu_1_memory_usage_megabytes": pytest.approx(1048.576),
        "gpu_1_memory_usage_percentage": 1.25,
    }

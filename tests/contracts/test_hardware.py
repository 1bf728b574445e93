from pathlib import Path

import pytest

from roadseg.contracts import hardware
from roadseg.contracts.hardware import gpus, machine_load, machine_memory


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    physical = machine_memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(hardware, "LIMITS", (str(limit),))
    limit.write_text("1048576\n")
    assert machine_memory() == 1 << 20
    limit.write_text("max\n")
    assert machine_memory() >= physical


def test_the_driver_s_answer_is_read_and_its_silence_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
    for script, found in (("echo 'Some Card, 81559, 9.0'", [("Some Card", 81559 << 20, "9.0")]), ("exit 9", [])):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert gpus() == found


def test_the_load_has_mlflow_s_names_and_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor

    theirs: dict[str, list[float]] = {}
    for monitor in (CPUMonitor(), DiskMonitor()):
        monitor.collect_metrics()
        theirs |= {f"system/{name}": values for name, values in monitor.metrics.items()}
    monkeypatch.setenv("PATH", str(tmp_path))  # no driver
    ours = machine_load()
    assert set(theirs) - {"system/disk_usage_megabytes"} == {name for name in ours if "network" not in name}
    for name in ("system/system_memory_usage_megabytes", "system/disk_available_megabytes"):
        assert ours[name] == pytest.approx(theirs[name][0], rel=0.2)


def test_each_gpu_s_load_is_read_and_what_a_card_does_not_know_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '97, 40000, 80000, 412.55'\necho '3, 1000, 80000, [N/A]'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu = {name.removeprefix("system/"): value for name, value in machine_load().items() if "gpu" in name}
    assert gpu == {
        "gpu_0_utilization_percentage": 97.0,
        "gpu_0_power_usage_watts": 412.55,
        "gpu_0_memory_usage_megabytes": pytest.approx(41943.04),
        "gpu_0_memory_usage_percentage": 50.0,
        "gpu_1_utilization_percentage": 3.0,
        "gpu_1_memory_usage_megabytes": pytest.approx(1048.576),
        "gpu_1_memory_usage_percentage": 1.25,
    }

from pathlib import Path

import pytest

from roadseg.machine import hardware
from roadseg.machine.hardware import gpus, machine_memory


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

"""The fingerprint knows what decides the bytes of a training, and nothing else of the machine."""

import os
import platform
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jaxlib
import keras
import pytest
import tensorflow as tf
from small_training import PARAMS

from roadseg.machine import instruction_set
from roadseg.train.params import Resolved
from roadseg.train.run import fingerprint as module
from roadseg.train.run.fingerprint import identify

Change = Callable[[pytest.MonkeyPatch], None]


def found(**changes: object) -> str:
    return identify("d" * 64, Resolved(**PARAMS | changes)).fingerprint


def on_jax(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keras.backend, "backend", lambda: "jax")


def on_another_jaxlib(patch: pytest.MonkeyPatch) -> None:
    on_jax(patch)
    patch.setattr(jaxlib, "__version__", "0.0.1")


DECIDES: list[Change] = [
    lambda patch: patch.setattr(keras, "__version__", "3.0.0"),
    lambda patch: patch.setattr(tf, "__version__", "2.0.0"),
    lambda patch: patch.setenv("TF_ENABLE_ONEDNN_OPTS", "0"),
    lambda patch: patch.setattr(module, "instruction_set", lambda _: "another"),
    lambda patch: patch.setattr(module, "capabilities", lambda: ["9.0"]),
    lambda patch: patch.setattr(module, "code_digests", lambda *names: dict.fromkeys(names, "changed")),
    on_jax,
    on_another_jaxlib,
]


def test_each_thing_that_decides_the_bytes_gives_another_fingerprint() -> None:
    each = [found(), found(threads=PARAMS["threads"] + 1), found(precision="bfloat16"), found(seed=PARAMS["seed"] + 1)]
    for change in DECIDES:
        with pytest.MonkeyPatch.context() as patch:
            change(patch)
            each.append(found())
    each.append(identify("e" * 64, Resolved(**PARAMS)).fingerprint)
    assert len(set(each)) == len(each) == 5 + len(DECIDES)


def test_another_machine_of_the_same_kind_gives_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = found()
    flags = instruction_set.CPU_INFO.read_text() if instruction_set.CPU_INFO.exists() else ""
    other = tmp_path / "cpuinfo"
    other.write_text("model name : another\ncpu MHz : 1\n" + flags.replace(" fpu ", " fpu a_flag_of_no_weight "))
    monkeypatch.setattr(instruction_set, "CPU_INFO", other)
    monkeypatch.setattr("roadseg.machine.hardware.machine_memory", lambda: 1 << 50)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    for name in ("node", "release", "version", "platform", "processor", "python_version"):
        monkeypatch.setattr(platform, name, lambda: "another")
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path))
    assert found() == before


def test_the_version_is_the_module_s_whatever_package_it_came_in() -> None:
    rounding = identify("d" * 64, Resolved(**PARAMS)).surroundings
    assert (rounding.backend, rounding.backend_version, rounding.keras) == (
        "tensorflow",
        tf.__version__,
        keras.__version__,
    )
    assert asdict(rounding).keys() == {
        *("backend", "backend_version", "keras", "instruction_set", "precision", "threads")
    }


def test_jax_is_named_with_the_library_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    on_jax(monkeypatch)
    assert identify("d" * 64, Resolved(**PARAMS)).surroundings.backend_version.endswith(f"jaxlib {jaxlib.__version__}")

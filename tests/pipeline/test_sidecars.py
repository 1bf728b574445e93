import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from roadseg.contracts.files import home
from roadseg.pipeline.sidecars import HURRY, IMPATIENT, PATIENCE, ask, sidecar

ANSWERS = """
import os, sys
from roadseg.pipeline.sidecars import answer
print("a library says hello")
print("a warning", file=sys.stderr)
answer({"home": os.environ["ROADSEG_HOME"], "timeout": os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"], "told": sys.argv[1:]})
"""
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File of a module `helper`, which every sidecar can import."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path / "helper.py"


def test_what_a_sidecar_answers_comes_back_and_what_it_says_is_in_its_log(module: Path) -> None:
    module.write_text(ANSWERS)
    found = ask("helper", "one", "two", log="helper.log", patience=60)
    told = {"home": str(home()), "timeout": IMPATIENT["MLFLOW_HTTP_REQUEST_TIMEOUT"], "told": ["one", "two"]}
    assert found == told
    assert (home() / "helper.log").read_text() == "a warning\n"


def test_what_the_user_set_is_left_alone(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module.write_text(ANSWERS)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert ask("helper", log="helper.log", patience=60)["timeout"] == "77"


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "print('no JSON')", "import time; time.sleep(60)"])
def test_a_sidecar_that_fails_or_hangs_answers_nothing(module: Path, code: str) -> None:
    module.write_text(code)
    started = time.monotonic()
    assert ask("helper", log="helper.log", patience=2) is None
    assert time.monotonic() - started < 20


def test_a_sidecar_that_does_not_end_is_killed_and_soon_where_the_stage_was_stopped(module: Path) -> None:
    module.write_text(STUBBORN)
    before = set(psutil.Process().children())
    with suppress(KeyboardInterrupt), sidecar("helper", log="helper.log"):
        [running] = set(psutil.Process().children()) - before
        while not (home() / "helper.log").read_text():
            time.sleep(0.05)
        stopped = time.monotonic()
        raise KeyboardInterrupt
    assert HURRY <= time.monotonic() - stopped < PATIENCE
    assert not running.is_running()

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SAYS = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 00:00:1.2   3 port.cc:153] oneDNN custom operations are on.\\n")
os.write(2, b"W0000 00:00:1.2   3 some.cc:1] a real warning\\n")
os.write(2, b"Traceback of somebody\\n")
"""
IMPORT = "from roadseg.pipeline.environment import settle; settle(); import tensorflow, os; os.write(2, b'I0000 later')"


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A TensorFlow that only speaks."""
    (tmp_path / "tensorflow.py").write_text(SAYS)
    return tmp_path


def imported(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *sys.path])
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", IMPORT], env={**kept, "PYTHONPATH": path, **env}, capture_output=True, text=True
    )


def test_what_tensorflow_says_of_itself_is_gone_and_its_warnings_are_not(spoken: Path) -> None:
    assert imported(spoken).stderr.splitlines() == [
        "W0000 00:00:1.2   3 some.cc:1] a real warning",
        "Traceback of somebody",
        "I0000 later",
    ]


def test_all_is_shown_where_that_is_wanted_or_nothing_can_filter(spoken: Path) -> None:
    assert "oneDNN" in imported(spoken, TF_CPP_MIN_LOG_LEVEL="0").stderr
    assert "oneDNN" in imported(spoken, PATH="").stderr


def test_the_last_words_of_a_crash_come_through(spoken: Path) -> None:
    with (spoken / "tensorflow.py").open("a") as code:
        code.write("os.write(2, b'F0000 no AVX here\\n'); os.abort()\n")
    done = imported(spoken)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.endswith("F0000 no AVX here\n")


def test_an_error_in_the_import_is_told(spoken: Path) -> None:
    with (spoken / "tensorflow.py").open("a") as code:
        code.write("raise ImportError('no library')\n")
    assert imported(spoken).stderr.endswith("ImportError: no library\n")


def test_the_real_one_says_nothing() -> None:
    pytest.importorskip("tensorflow")
    code = "from roadseg.pipeline.environment import settle; settle(); import keras; keras.ops.ones(3) + 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""

"""Three locks, one for what the machine has: TensorFlow for the CPU, TensorFlow for a GPU, JAX for a GPU."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from trees import ROOT

from roadseg.pipeline import environment

LOCKS = {"cpu": "dev.txt", "gpu": "gpu.txt", "jax": "jax.txt"}
BACKENDS = {"cpu": {"tensorflow-cpu"}, "gpu": {"tensorflow"}, "jax": {"jax-cuda12-plugin"}}
NAMES_A_GPU = "#!/bin/sh\necho 'GPU 0: Some Card (UUID: GPU-0)'\n"
NO_DRIVER = "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the driver.'\nexit 9\n"


def pins(lock: str) -> dict[str, set[str]]:
    """Versions by name in a lock; one name may have one for each Python."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / "requirements" / LOCKS[lock]).read_text(), re.M):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_its_backend_and_no_other(lock: str) -> None:
    assert set.union(*BACKENDS.values()) & pins(lock).keys() == BACKENDS[lock]
    assert "jax" in pins(lock), "the tests of the second backend compute on the CPU with it"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_hashed_and_names_no_place(lock: str) -> None:
    text = (ROOT / "requirements" / LOCKS[lock]).read_text()
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert not re.search(r"/(work|tmp|home|opt|root)/", text)


@pytest.mark.parametrize("lock", ["gpu", "jax"])
def test_what_two_locks_share_has_one_version(lock: str) -> None:
    cpu, other = pins("cpu"), pins(lock)
    assert {name: other[name] for name in other.keys() & cpu.keys()} == {
        name: cpu[name] for name in other.keys() & cpu.keys()
    }
    assert len(other.keys() & cpu.keys()) > 100


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile and the locks, and nothing set up."""
    shutil.copytree(ROOT / "requirements", tmp_path / "tree/requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    return tmp_path / "tree"


def make_setup(tree: Path, nvidia_smi: str | None = None, *words: str) -> subprocess.CompletedProcess[str]:
    """What `make setup` would do on a machine whose driver answers like that."""
    tools = tree.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "nvidia-smi").unlink(missing_ok=True)
    (tools / "nvidia-smi").write_text(nvidia_smi or "#!/bin/sh\nexit 127\n")
    (tools / "nvidia-smi").chmod(0o755)
    env = {key: value for key, value in os.environ.items() if key not in ("LOCK", "MAKEFLAGS", "MAKELEVEL")}
    env["PATH"] = os.pathsep.join([str(tools), os.environ["PATH"]])
    return subprocess.run(["make", "-n", "setup", *words], cwd=tree, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("nvidia_smi", "words", "lock"),
    [
        (None, [], "dev.txt"),
        (NO_DRIVER, [], "dev.txt"),
        (NAMES_A_GPU, [], "gpu.txt"),
        (NAMES_A_GPU, ["LOCK=cpu"], "dev.txt"),
        (NAMES_A_GPU, ["LOCK=jax"], "jax.txt"),
        (None, ["LOCK=gpu"], "gpu.txt"),
    ],
)
def test_the_lock_is_what_was_asked_for_or_what_the_machine_has(
    tree: Path, nvidia_smi: str | None, words: list[str], lock: str
) -> None:
    done = make_setup(tree, nvidia_smi, *words)
    assert done.returncode == 0, done.stderr
    [synced] = re.findall(r"pip sync .*requirements/(\S+)", done.stdout)
    assert synced == lock


def test_what_was_set_up_stays_until_another_lock_is_asked_for(tree: Path) -> None:
    (tree / ".venv").mkdir()
    (tree / ".venv/.ready-jax").touch()
    assert "pip sync" not in make_setup(tree, NAMES_A_GPU).stdout
    os.utime(tree / "requirements/jax.txt", (2**32, 2**32))
    assert "requirements/jax.txt" in make_setup(tree, NAMES_A_GPU).stdout
    changed = make_setup(tree, NAMES_A_GPU, "LOCK=cpu").stdout
    assert "requirements/dev.txt" in changed
    assert "rm -f .venv/.ready*" in changed


def test_another_word_is_refused(tree: Path) -> None:
    done = make_setup(tree, None, "LOCK=tpu")
    assert done.returncode != 0
    assert "LOCK is 'tpu': give cpu, gpu or jax" in done.stderr


@pytest.mark.parametrize(
    ("there", "backend"), [({"tensorflow"}, None), ({"jax"}, "jax"), ({"jax", "tensorflow"}, None)]
)
def test_where_only_jax_is_installed_keras_is_told(
    there: set[str], backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr(os, "environ", {})
    environment.settle()
    assert os.environ.get("KERAS_BACKEND") == backend

"""The model server's lock is the core of pyproject.toml: enough to serve, and without the pipeline."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from served import network, picture, serving
from trees import ROOT

LOCKS = ("server", "worker", "worker-gpu", "mlflow", "prefect", "build")
HEAVY = {"prefect", "dvc", "great-expectations", "distributed", "sqlalchemy", "mlflow"}
# as if they were not installed
BLOCK = """
import sys
from importlib.machinery import PathFinder


class Locked(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {tops!r} else super().find_spec(name, path, target)


sys.meta_path[:] = [Locked if finder is PathFinder else finder for finder in sys.meta_path]
"""


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, re.MULTILINE))


@pytest.fixture
def only_the_lock(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Python processes import what the model server's or another image's lock has, and nothing else."""
    locked = pins(getattr(request, "param", "server")).keys() | {"roadseg"}
    brought = packages_distributions().items()
    tops = {top for top, names in brought if not locked & {re.sub(r"[._]", "-", name.lower()) for name in names}}
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(tops=sorted(tops)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", str(ROOT / "src"))]))
    return tmp_path


def test_the_server_s_lock_is_without_the_pipeline() -> None:
    assert not HEAVY & pins("server").keys()
    assert pins("worker").keys() >= HEAVY
    assert pins("server").keys() < pins("worker").keys()
    assert not {"tensorflow-cpu", "keras", "dvc", "great-expectations"} & (
        pins("mlflow").keys() | pins("prefect").keys()
    )


@pytest.mark.parametrize("lock", LOCKS)
def test_an_image_s_lock_is_hashed_names_no_place_and_has_the_versions_of_dev(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    known, ours = pins("dev"), pins(lock)
    shared = known.keys() & ours.keys()
    assert {name: ours[name] for name in shared} == {name: known[name] for name in shared}
    assert shared


def test_nothing_else_can_be_imported(only_the_lock: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import prefect"], capture_output=True, text=True)
    assert "No module named 'prefect'" in done.stderr


def test_pictures_are_answered_with_what_the_lock_has(only_the_lock: Path) -> None:
    bundle = network(only_the_lock / "bundle")
    with serving(only_the_lock, "--model", str(bundle.folder)) as served:
        answer = served.predict(picture(1))
        assert answer.status == 200, answer.body
        assert answer.ids.shape == (90, 120)
        assert served.get("/").status == served.get("/metrics").status == 200


def test_the_registry_is_followed_with_what_the_lock_has(only_the_lock: Path) -> None:
    modules = "roadseg.registry.watch, roadseg.registry.evidence.stored, roadseg.tracking.artifacts"
    done = subprocess.run([sys.executable, "-c", f"import {modules}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("only_the_lock", ["mlflow"], indirect=True)
def test_accounts_get_their_parts_with_what_mlflow_s_lock_has(only_the_lock: Path) -> None:
    code = "from roadseg.registry import people; people._people('http://127.0.0.1:9')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

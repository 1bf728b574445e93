"""The contract and a whole training on JAX, each in a process that cannot load TensorFlow."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from narrow_models import ENCODER_LAYERS
from small_training import ALL, FAST_TO_COMPILE
from trees import ROOT

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.shards import Shards

# Keras itself looks for TensorFlow when it saves, so what is loaded afterwards would say nothing of us
WITHOUT = """
import importlib.abc, runpy, sys

class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"no {name} here", name=name)

sys.meta_path.insert(0, NoTensorFlow())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def on_jax(module: str, *arguments: str, folder: Path, cache: Path | None = None) -> None:
    cached = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    settings = {
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": FAST_TO_COMPILE,
        **(cached if cache else {}),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}",
        "ROADSEG_HOME": str(folder / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, *arguments],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["guard", *[pytest.param(name, marks=pytest.mark.soak) for name in ("flat_optimizer", "muon")]]
)
def test_a_step_is_the_same_on_jax(tmp_path: Path, name: str) -> None:
    test = ROOT / f"tests/train/step/test_{name}.py"
    on_jax("pytest", "-p", "no:cacheprovider", "--rootdir", str(ROOT), str(test), folder=tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("part", ["small or tutorial or doubling", "base or large", " or ".join(ENCODER_LAYERS)])
def test_the_contract_holds_on_jax(tmp_path: Path, part: str) -> None:
    contract = ROOT / "tests/train/models/test_contract.py"
    alone = ("-p", "no:cacheprovider", "--rootdir", str(ROOT), "-m", "")  # long proofs too
    on_jax("pytest", *alone, "-k", part, str(contract), folder=tmp_path)


def train_on_jax(tree: Path, make_shards: Callable[..., Shards], epochs: int) -> str:
    """Train with all that is off by default; the digest of the weights."""
    make_shards(tree / "data/shards", ClassTable.find("idd-level1"))
    on_jax("small_training", str(epochs), json.dumps(ALL), folder=tree, cache=tree / "cache")
    return str(json.loads((tree / "models/bundle/card.json").read_text())["weights"])


def test_a_training_on_jax_needs_no_tensorflow(tmp_path: Path, make_shards: Callable[..., Shards]) -> None:
    assert train_on_jax(tmp_path, make_shards, 1)


@pytest.mark.soak
def test_a_training_on_jax_repeats_its_weights(tmp_path: Path, make_shards: Callable[..., Shards]) -> None:
    assert train_on_jax(tmp_path / "one", make_shards, 2) == train_on_jax(tmp_path / "two", make_shards, 2)

"""What `machine` does changes no byte of a result, so DVC is not told of it: an edit there reruns no stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import yaml
from clusters import Dask
from small_training import PARAMS as TRAIN
from small_training import SHORT
from trees import ROOT

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.contracts.quarantine import write_quarantine
from roadseg.pipeline.runner import SECTIONS, STAGES
from roadseg.train.models.known import MODELS

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
PARAMS["preprocess"] |= {"height": 32, "width": 64}
PARAMS["train"] = TRAIN
PARAMS["evaluate"] |= {"batch": 4, "resamples": 100}
DATA = ("scan", "validate", "preprocess")
Results = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def results(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Run stages in a tree and a home of their own; the digest of every file that they write."""

    def run(*stages: str, **environment: str) -> dict[str, str]:
        tree, policy = tmp_path_factory.mktemp("tree"), keras.config.dtype_policy()
        (tree / "data").mkdir()
        (tree / "data/raw").symlink_to(scenes)
        ClassTable.find("idd-level1").write(tree / "data/classes.yaml")
        write_quarantine(tree / "data/quarantine.csv", [])
        (tree / "data/reference.json").write_text("{}\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tree)
            patch.setitem(MODELS, "small", SHORT)
            for name in ("TF_DETERMINISTIC_OPS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
                patch.setenv(name, "1")  # the stage sets them, so the patch must know what to bring back
            for name, value in {"ROADSEG_HOME": str(tree / "home"), **environment}.items():
                patch.setenv(name, value)
            try:
                for name in stages:
                    STAGES[name].run(**{name: SECTIONS[name](**PARAMS[name])})
            finally:
                keras.config.set_dtype_policy(policy)
        places = [tree / place for name in stages for place in STAGES[name].WRITES]
        files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
        return {path.relative_to(tree).as_posix(): digest_file(path) for path in files}

    return run


@pytest.fixture(scope="module")
def alone(results: Results) -> dict[str, str]:
    """What one worker leaves of the whole graph."""
    return results(*STAGES, ROADSEG_WORKERS="1")


def test_any_number_of_workers_gives_equal_results(results: Results, alone: dict[str, str]) -> None:
    assert {"data/scan.parquet", "data/shards/shards.json", "models/bundle/card.json", "metrics.json"} < alone.keys()
    assert results(*STAGES, ROADSEG_WORKERS="3") == alone


def test_a_cluster_gives_the_data_of_one_worker(
    results: Results, alone: dict[str, str], background: Callable[..., Any], tmp_path: Path
) -> None:
    dask = Dask.begin(background, tmp_path / "dask")  # its workers run in another folder
    dask.worker()
    found = results(*DATA, ROADSEG_DASK=dask.address)
    assert {"data/scan.parquet", "data/shards/shards.json"} < found.keys()
    assert found == {name: alone[name] for name in found}

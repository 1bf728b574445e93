from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from roadseg.contracts.bundle import SAMPLES
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.shards import Shards
from roadseg.train.run.result import samples_of


@pytest.fixture
def shards(tmp_path: Path, make_shards: Callable[..., Shards], idd_level1: ClassTable) -> Shards:
    return make_shards(tmp_path, idd_level1)


@pytest.mark.parametrize("name", ["idd", None])
def test_training_images_are_told_with_their_data_set(shards: Shards, name: str | None) -> None:
    found = samples_of(replace(shards, index=shards.index.assign(dataset=pd.Series(name, shards.index.index, object))))
    assert found.schema.remove_metadata() == SAMPLES
    assert found["sample"].to_pylist() == sorted(set(shards.index["sample"]))
    assert set(found["dataset"].to_pylist()) == {name}


def test_shards_that_name_no_data_set_leave_it_unknown(shards: Shards) -> None:
    found = samples_of(replace(shards, index=shards.index.drop(columns="dataset")))
    assert found["dataset"].null_count == len(found) > 0
    assert found["phash"].null_count == found["drive"].null_count == 0

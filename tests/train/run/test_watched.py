from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.train.run.watched import SCHEMA, read_watched, write_guess, write_watched


def test_what_is_kept_is_read_again(tmp_path: Path, idd_level1: ClassTable) -> None:
    rng = np.random.default_rng(0)
    images, truth = rng.integers(0, 256, (2, 4, 8, 3), np.uint8), rng.integers(0, 7, (2, 4, 8), np.uint8)
    guess = rng.integers(0, 7, (2, 2, 4), np.uint8)
    write_watched(tmp_path, images, truth, idd_level1)
    write_guess(tmp_path, 3, guess)
    watched = read_watched(tmp_path, 3)
    assert watched is not None
    assert watched.classes == idd_level1
    for found, kept in ((watched.images, images), (watched.truth, truth), (watched.guess, guess)):
        np.testing.assert_array_equal(found, kept)


def leave(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def overwrite(path: Path) -> None:
    path.write_bytes(b"not an archive")


def age(path: Path) -> None:
    with np.load(path) as kept:
        arrays = dict(kept)
    np.savez(path, **arrays | {"schema": np.array("roadseg/watched/0")})


def empty(path: Path) -> None:
    np.savez(path, schema=np.array(SCHEMA))


@pytest.mark.parametrize("change", [leave, cut, overwrite, age, empty])
@pytest.mark.parametrize("name", ["images", "3"])
def test_what_is_gone_damaged_or_of_another_schema_is_none(
    tmp_path: Path, idd_level1: ClassTable, name: str, change: Callable[[Path], None]
) -> None:
    write_watched(tmp_path, np.zeros((1, 4, 8, 3), np.uint8), np.zeros((1, 4, 8), np.uint8), idd_level1)
    write_guess(tmp_path, 3, np.zeros((1, 2, 4), np.uint8))
    assert read_watched(tmp_path, 3) is not None
    change(tmp_path / f"watched/{name}.npz")
    assert read_watched(tmp_path, 3) is None

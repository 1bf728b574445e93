from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.contracts.weights import Weights, find_weights, keep_weights, kept_encoders, write_weights

ARRAYS = {"stem/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "logits/bias": np.zeros(2, np.float32)}


def written(path: Path, scale: float = 1.0) -> str:
    arrays = {name: (scale * array).astype(np.float32) for name, array in ARRAYS.items()}
    return write_weights(path, arrays, fingerprint="f" * 64, model="small", classes=["road", "sky"])


def test_what_was_written_is_read_equal(tmp_path: Path) -> None:
    digest = written(tmp_path / "weights.npz")
    read = Weights.open(tmp_path / "weights.npz")
    assert (read.digest, read.fingerprint, read.model, read.classes) == (digest, "f" * 64, "small", ["road", "sky"])
    assert read.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_equal_weights_give_equal_bytes_and_others_another_digest(tmp_path: Path) -> None:
    digests = [written(tmp_path / f"{number}.npz", scale) for number, scale in enumerate((1.0, 1.0, 2.0))]
    assert digests[0] == digests[1] != digests[2]


def test_kept_weights_are_found_by_their_digest_alone(tmp_path: Path) -> None:
    digest = written(tmp_path / "weights.npz")
    assert keep_weights(tmp_path / "weights.npz") == digest
    (tmp_path / "weights.npz").unlink()
    assert find_weights(digest).digest == digest


def test_missing_weights_are_told_with_what_to_run() -> None:
    with pytest.raises(UsageError, match=r"train\.init: the weights 00000000.* run `roadseg models init champion`"):
        find_weights("0" * 64)


def test_kept_weights_that_changed_are_refused(tmp_path: Path) -> None:
    digest = written(tmp_path / "weights.npz")
    keep_weights(tmp_path / "weights.npz")
    written(home() / f"reuse/weights/{digest}.npz", scale=2.0)
    with pytest.raises(UsageError, match=f"{digest}.npz is not what was copied: delete it"):
        find_weights(digest)


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "text", "another archive"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.npz"
    written(path)
    content = {"empty": b"", "cut": path.read_bytes()[:-60], "text": b"not numpy"}
    path.unlink()
    if damage == "another archive":
        np.savez(path, **ARRAYS)
    elif damage in content:
        path.write_bytes(content[damage])
    with pytest.raises(UsageError, match=r"weights\.npz cannot be read .* run `dvc repro train`"):
        Weights.open(path)
    with pytest.raises(UsageError, match=r"weights\.npz cannot be read"):
        keep_weights(path)
    assert not (home() / "reuse").exists()


def test_encoders_that_are_kept_are_known_by_name_and_nothing_else_is(tmp_path: Path) -> None:
    written(tmp_path / "weights.npz")
    keep_weights(tmp_path / "weights.npz")
    path = tmp_path / "encoder.npz"
    digest = write_weights(path, ARRAYS, fingerprint="pretrained/lite0", model="lite0", classes=[])
    keep_weights(path)
    (home() / "reuse/weights" / f"{'0' * 64}.npz").write_bytes(path.read_bytes()[:-50])
    assert kept_encoders() == {digest: "lite0"}
    assert find_weights(digest).pretrained
    with pytest.raises(
        UsageError, match="run `roadseg models pretrained lite1`, or `roadseg models init champion` with"
    ):
        find_weights("1" * 64, "lite1")

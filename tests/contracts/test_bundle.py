import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadseg.contracts.bundle import SAMPLES, Bundle, Surroundings, weights_digest, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError

ROWS = [
    {"sample": "train/b/2", "dataset": "idd", "drive": "b", "image_sha": "22", "phash": 2**64 - 1},
    {"sample": "train/a/1", "dataset": None, "drive": None, "image_sha": "11", "phash": 0},
]
PIXELS = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), np.uint8)
ALONE = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict_on_batch(np.load(sys.argv[2])))
assert not [name for name in sys.modules if name.startswith("roadseg")]
"""


def tiny(seed: int = 0) -> keras.Model:
    """Two layers that share a dtype policy and one that has random state."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(image)
    x = keras.layers.Dropout(0.5, name="drop")(x)
    x = keras.layers.Conv2D(7, 1, kernel_initializer="zeros", name="logits")(x)
    model = keras.Model(image, x, name="tiny")
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    return model


@dataclass
class Writer:
    card: dict[str, Any]

    def __call__(self, folder: Path, model: keras.Model) -> Path:
        write_bundle(folder, model, self.card, pa.Table.from_pylist(ROWS, SAMPLES))
        return folder


@pytest.fixture
def write(idd_level1: ClassTable) -> Writer:
    card = {"fingerprint": "f" * 64, "stride": 1, "height": 4, "width": 6, "output": "logits"}
    return Writer(card | {"classes": idd_level1.content, "params": {"rate": float("nan")}})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_weights_give_equal_bytes_whenever_and_in_whichever_memory(tmp_path: Path, write: Writer) -> None:
    first = tiny()
    keras.config.set_dtype_policy(keras.DTypePolicy("float32"))  # another object, so another address
    second = tiny()
    one = contents(write(tmp_path / "one", first))
    time.sleep(2.1)  # a zip's clock has steps of two seconds
    assert one == contents(write(tmp_path / "two", second))
    assert one.keys() == {"model.keras", "card.json", "samples.parquet"}


def test_card_and_samples_come_back(tmp_path: Path, write: Writer, idd_level1: ClassTable) -> None:
    model = tiny()
    bundle = Bundle.open(write(tmp_path / "bundle", model))
    expected = {**write.card, "params": {"rate": None}, "weights": weights_digest(model)}
    assert {key: value for key, value in bundle.card.items() if key != "schema"} == expected
    assert bundle.classes == idd_level1
    assert bundle.size == (4, 6)
    assert pq.read_table(bundle.folder / "samples.parquet").to_pylist() == sorted(ROWS, key=lambda row: row["sample"])


def test_the_model_comes_back(tmp_path: Path, write: Writer) -> None:
    model = tiny()
    loaded = Bundle.open(write(tmp_path / "bundle", model)).load()
    np.testing.assert_array_equal(loaded.predict_on_batch(PIXELS), model.predict_on_batch(PIXELS))
    assert weights_digest(loaded) == weights_digest(model)


def test_keras_alone_loads_the_model(tmp_path: Path, write: Writer) -> None:
    model, pixels, answer = tiny(), tmp_path / "pixels.npy", tmp_path / "answer.npy"
    np.save(pixels, PIXELS)
    path = write(tmp_path / "bundle", model) / "model.keras"
    subprocess.run([sys.executable, "-I", "-c", ALONE, path, pixels, answer], check=True, cwd=tmp_path, timeout=120)
    np.testing.assert_allclose(np.load(answer), model.predict_on_batch(PIXELS), rtol=1e-5, atol=1e-6)


def test_the_card_says_what_the_training_computed_with(tmp_path: Path, write: Writer) -> None:
    assert Bundle.open(write(tmp_path / "without", tiny())).surroundings == Surroundings()
    known = Surroundings("jax", "0.11.2", "3.15.1", "avx2", "float32", 4)
    write.card |= asdict(known) | {"history": "a" * 64}
    bundle = Bundle.open(write(tmp_path / "with", tiny()))
    assert (bundle.surroundings, bundle.history) == (known, "a" * 64)
    assert bundle.card["schema"] == "roadseg/bundle/2"


@pytest.mark.parametrize("changed", [0, 1])
def test_the_digest_knows_every_weight(changed: int) -> None:
    model, before = tiny(), weights_digest(tiny())
    assert weights_digest(model) == before
    weights = model.get_weights()
    weights[changed].flat[-1] = np.nextafter(weights[changed].flat[-1], 9, dtype=np.float32)
    model.set_weights(weights)
    assert weights_digest(model) != before


@pytest.mark.parametrize("missing", ["model.keras", "card.json"])
def test_a_missing_part_is_named_with_its_remedy(missing: str, tmp_path: Path, write: Writer) -> None:
    (write(tmp_path / "bundle", tiny()) / missing).unlink()
    with pytest.raises(UsageError, match=rf"{missing} is missing: run `dvc repro train`"):
        Bundle.open(tmp_path / "bundle")


def test_another_schema_is_refused_with_its_remedy(tmp_path: Path, write: Writer) -> None:
    card = write(tmp_path / "bundle", tiny()) / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"schema": "roadseg/bundle/0"}))
    with pytest.raises(UsageError, match=r"roadseg/bundle/0.*run `dvc repro train`"):
        Bundle.open(card.parent)

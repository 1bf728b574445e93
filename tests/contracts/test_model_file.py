import json
import shutil
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import painter
from hostile_models import HOSTILE, hostile, with_setting
from narrow_models import CLASSES, NARROW, each_model, settled
from trees import ROOT

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.model_file import check_model_file
from roadseg.train.models.deploy import deploy

BEFORE = ROOT / "tests/data/schema-1/bundle"
ALONE = """
import sys
from pathlib import Path
from roadseg.contracts.model_file import check_model_file
check_model_file(Path(sys.argv[1]))
assert not {"keras", "tensorflow", "jax"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return painter(tmp_path_factory.mktemp("good"), ClassTable.find("idd-level1"))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name_in_little_memory(name: str, good: Bundle, tmp_path: Path) -> None:
    path = hostile(name, good.folder / "model.keras", tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=HOSTILE[name][1]) as refused:
            check_model_file(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert str(refused.value).startswith(f"{path} is refused: ")
    assert "\n" not in str(refused.value)


def test_what_is_refused_is_not_loaded(good: Bundle, tmp_path: Path) -> None:
    bundle = replace(good, folder=Path(shutil.copytree(good.folder, tmp_path / "bundle")))
    with_setting(bundle.folder / "model.keras", activation="softmax", filters=8)
    with pytest.raises(UsageError, match=r"is refused: config\.json asks for"):
        bundle.load()


@each_model
def test_every_model_of_ours_passes(name: str, tmp_path: Path) -> None:
    model = deploy(settled(NARROW[name]), NARROW[name], CLASSES)
    write_bundle(tmp_path, model, {}, SAMPLES.empty_table())
    check_model_file(tmp_path / "model.keras")


def test_a_bundle_of_before_passes_and_nothing_of_keras_is_imported_for_it() -> None:
    command = [sys.executable, "-c", ALONE, str(BEFORE / "model.keras")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=60)


def test_weights_that_the_card_does_not_name_are_refused(good: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(good.folder, tmp_path / "bundle"))
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"weights": "0" * 64}))
    with pytest.raises(UsageError, match=f"has the weights {card['weights'][:12]}, and card.json says {'0' * 12}"):
        Bundle.open(folder).load()


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_shape_are_no_traceback(good: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(good.folder, tmp_path / "bundle"))
    with_setting(folder / "model.keras", filters=5)
    with pytest.raises(UsageError, match=r"model\.keras cannot be loaded"):
        Bundle.open(folder).load()

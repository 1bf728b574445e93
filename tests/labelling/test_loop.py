"""The whole loop on generated scenes: pick, export to each tool, correct, import, retrain, and what it bought."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import change_params, commit, make_checkout, run

from roadseg.contracts.classes import ClassTable
from roadseg.intake.install import install
from roadseg.labelling.batch import Batch, open_batch
from roadseg.labelling.tools.read import read_export
from roadseg.labelling.tools.write import TOOLS
from roadseg.synthetic.dataset import generate


def corrected(export: Path, batch: Batch) -> Path:
    """An annotator's export of CVAT's mask format: a band of each picture is sky now."""
    folder = export / "corrected"
    zipfile.ZipFile(export / "annotations.zip").extractall(folder)
    for path in (folder / "SegmentationClass").iterdir():
        pixels = np.array(Image.open(path))
        pixels[:20] = batch.colors["sky"]
        Image.fromarray(pixels).save(path)
    return Path(shutil.make_archive(str(export / "task"), "zip", folder))


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_labels_that_were_picked_and_corrected_train_the_next_model(
    empty_store: Path, idd_level1: ClassTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_checkout(tmp_path / "tree")
    generate(tmp_path / "scenes", train=24, val=16, test=4, seed=7)  # two drives in val: one alone can tell nothing
    install(tree, tmp_path / "scenes", idd_level1)
    (tree / ".roadseg/mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, tree / ".roadseg/mlflow")
    commit(tree, "import scenes")
    monkeypatch.setenv("ROADSEG_HOME", str(tree / ".roadseg"))
    change_params(tree, {"promote": {"miou_min": 0.0, "drives": 2}})
    run(tree, "dvc", "repro", "-q")
    commit(tree, "run")
    run(tree, "roadseg", "register")
    run(tree, "roadseg", "promote")

    said = run(tree, "roadseg", "label", "pick", "-n", "3", "--by", "uncertainty", "--batch", "one").stdout
    batch = open_batch("one")
    assert "batch one: 3 of 4 pictures" in said
    for tool in TOOLS:
        run(tree, "roadseg", "label", "export", "one", "--to", tool, "-o", str(tmp_path / tool))
    for tool in ("cvat-camvid", "cvat-cityscapes", "folders"):
        for packed in (tmp_path / tool).glob("annotations.zip"):
            zipfile.ZipFile(packed).extractall(tmp_path / tool / "annotations")
        inner = tmp_path / tool / "annotations"
        for name, read in read_export(inner if inner.exists() else tmp_path / tool, batch).masks.items():
            pick = next(each for each in batch.picks if each.name == name)
            np.testing.assert_array_equal(read(), batch.predicted(pick))

    task = corrected(tmp_path / "cvat", batch)
    shown = run(tree, "roadseg", "label", "import", "one", str(task)).stdout
    assert "3 pictures labelled, 1 drives in train" in shown
    again = run(tree, "roadseg", "label", "import", "one", str(task)).stdout
    assert "data/raw: 0 new files" in again
    commit(tree, "labels")
    report = run(tree, "roadseg", "label", "report", COLUMNS="200").stdout
    assert "no model that has seen it was judged yet" in report

    before = json.loads((tree / "models/bundle/card.json").read_text())["data"]
    run(tree, "dvc", "repro", "-q")
    assert json.loads((tree / "models/bundle/card.json").read_text())["data"] != before
    run(tree, "roadseg", "register")
    run(tree, "roadseg", "promote", check=False)
    report = run(tree, "roadseg", "label", "report", COLUMNS="200").stdout
    assert "1 -> 2" in report
    assert "mIoU" in report
    assert all(f"{name} " in report for name in idd_level1.names)

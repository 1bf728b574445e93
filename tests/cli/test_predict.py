from pathlib import Path

import numpy as np
from bundles import painter
from PIL import Image
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.predict.predictor import Predictor


def test_a_window_slides_over_the_enlarged_picture(tmp_path: Path, idd_level1: ClassTable) -> None:
    bundle = painter(tmp_path / "bundle", idd_level1)
    image = np.random.default_rng(0).integers(0, 256, (80, 150, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "frame.png")
    masks = {}
    for name, options in {"plain": [], "window": ["--scale", "1.0", "--scale", "2.0", "--overlap", "0.5"]}.items():
        told = ["predict", str(tmp_path / "frame.png"), "-o", str(tmp_path / name), "--model", str(bundle.folder)]
        done = CliRunner().invoke(app, told + options)
        assert done.exit_code == 0, done.output
        with Image.open(tmp_path / name / "masks/frame.png") as picture:
            masks[name] = np.asarray(picture)
    [expected] = Predictor(bundle, scales=[1.0, 2.0], overlap=0.5, precision="auto")([image])
    np.testing.assert_array_equal(masks["window"], expected)
    assert (masks["plain"] != masks["window"]).any()

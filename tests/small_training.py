"""A training stage in seconds, as a process of its own, in a tree with shards.

`python -m small_training EPOCHS [PARAMS]`, what shall differ in the section as JSON.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import yaml

from roadseg.contracts.errors import RoadsegError
from roadseg.pipeline.watchdog import watched
from roadseg.train import stage
from roadseg.train.models.known import MODELS, residual_unet
from roadseg.train.models.unet import SIZES
from roadseg.train.stage import TrainParams

ROOT = Path(__file__).parent.parent
SMALL = {"model": "small", "epochs": 1, "batch": 4, "precision": "float32", "reduced_share": 0.0}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["train"] | SMALL
ALL = {"lovasz": 0.5, "hard": 0.3, "uniform": 0.5, "randaugment": 5.0}  # what is off by default
# a third of the layers is traced in a third of the time
SHORT = residual_unet("small", replace(SIZES["small"], stages=((16, 1),)))

if __name__ == "__main__":
    MODELS["small"] = SHORT
    try:
        with watched(os.getpid()):
            changes = json.loads("".join(sys.argv[2:]) or "{}")
            stage.run(train=TrainParams(**PARAMS | {"epochs": int(sys.argv[1])} | changes))
    except RoadsegError as error:
        print(error)
        sys.exit(error.exit_code)

"""What PyTorch makes of the models that `benchmarks.training` measures, in an environment of its own."""

import json
import os
import subprocess
from math import prod
from pathlib import Path
from typing import Any

CLASSES = 7
MEASURED = {"tutorial": "tutorial", "default": "small", "encoder": "lite0"}  # names of ours


def torch(environment: dict[str, str]) -> dict[str, Any] | None:
    """Images a second of the same models in PyTorch, by model, precision and way; None where it is not there.

    Args:
        environment: beside this process' own; PyTorch's convolutions are oneDNN's too, and heed its instructions.

    Raises:
        SystemExit: they are not the same models.
    """
    python = os.environ.get("ROADSEG_TORCH")
    if not python:
        return None
    command, root = [python, "-m", "benchmarks.torch_unet", json.dumps(_sizes())], Path(__file__).parent.parent
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=root, env=os.environ | environment
    )
    found: dict[str, Any] = json.loads(done.stdout)
    if found["weights"] != (own := _weights()):
        raise SystemExit(f"PyTorch's models have {found['weights']} weights and ours {own}: they are not the same")
    by_model: dict[str, Any] = found["rates"]
    return by_model


def _sizes() -> dict[str, Any]:
    from roadseg.train.models.encoders.efficientnet_lite import Lite
    from roadseg.train.models.encoders.known import ENCODERS
    from roadseg.train.models.pretrained_unet import DECODER
    from roadseg.train.models.unet import SIZES

    config, lite = SIZES[MEASURED["default"]], ENCODERS[MEASURED["encoder"]].layers
    assert isinstance(lite, Lite), "the one kind that `torch_family` builds"
    blocks = [(block.filters, block.size, block.stride, block.expand) for block in lite.blocks()]
    return {
        "default": {"stem": config.stem, "stages": config.stages, "decoder": config.decoder},
        "encoder": {"stem": lite.stem, "blocks": blocks, "decoder": DECODER.widths},
    }


def _weights() -> dict[str, int]:
    from roadseg.train.models.known import MODELS

    models = {name: MODELS[each].build(CLASSES) for name, each in MEASURED.items()}
    return {name: sum(prod(weight.shape) for weight in each.trainable_weights) for name, each in models.items()}


def best(found: dict[str, Any] | None, model: str, kind: str) -> float | None:
    """PyTorch's best rate of training or prediction, whichever precision and way."""
    if found is None:
        return None
    return max(float(rate) for each in found[model].values() for name, rate in each.items() if name.startswith(kind))

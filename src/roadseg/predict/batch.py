"""How many tiles to predict at once on the device that there is."""

from collections.abc import Sequence

import keras

from roadseg.contracts.batch_size import fitting_batch, output_bytes, output_shapes
from roadseg.contracts.framing import Framing
from roadseg.machine.hardware import device_memory, has_gpu

MAX_ON_CPU = 4  # tiles; more is no faster there and takes more memory: docs/results/evaluation.md
MAX_ON_GPU = 32  # tiles


def fitting_tiles(model: keras.Model, framings: Sequence[Framing]) -> int:
    """The most tiles of the largest framing, halved until all outputs take at most half of the device's memory."""
    height, width = max(((framing.height, framing.width) for framing in framings), key=lambda size: size[0] * size[1])
    outputs = output_bytes(model, output_shapes(model, height, width))
    weights = 4 * int(model.count_params())
    return fitting_batch(MAX_ON_GPU if has_gpu() else MAX_ON_CPU, weights, outputs, device_memory())

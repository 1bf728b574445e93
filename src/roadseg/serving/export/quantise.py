"""From an ONNX file in float32 to one that computes in 8 bits, by onnxruntime's static quantisation."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class _Tiles(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """What the float model is run on, to see which values occur where."""

    def __init__(self, name: str, tiles: Iterable[np.ndarray]) -> None:
        self._name, self._tiles = name, iter(tiles)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """One batch of one tile, None after the last."""
        tile = next(self._tiles, None)
        return None if tile is None else {self._name: tile[None]}


def quantised(content: bytes, tiles: Iterable[np.ndarray]) -> bytes:
    """Quantise weights by channel, and what flows between convolutions by the least and largest value seen.

    Values are unsigned and weights signed: of what onnxruntime offers it is twice as fast as signed ones on Intel.

    Args:
        content: of the file in float32.
        tiles: uint8 (H, W, 3) of the working size, from training images.
    """
    taken = onnx.load_model_from_string(content).graph.input[0].name
    with tempfile.TemporaryDirectory() as folder:
        whole, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "small"))
        whole.write_bytes(content)
        quantize_static(
            whole,
            small,
            _Tiles(taken, tiles),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return small.read_bytes()

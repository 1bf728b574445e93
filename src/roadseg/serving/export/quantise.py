"""From an ONNX file in float32 to one that computes in 8 bits, by onnxruntime's static quantisation."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class _Tiles(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """What the float model is run on, to see which values occur where."""

    def __init__(self, name: str, tiles: Iterable[np.ndarray]) -> None:
        self._name, self._tiles = name, iter(tiles)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """One batch of one tile, None after the last."""
        tile = next(self._tiles, None)
        return None if tile is None else {self._name: tile[None]}


def quantised(content: bytes, tiles: Iterable[np.ndarray]) -> bytes:
    """Quantise the convolutions but the first and the last, which are small, and whose rounding moves most pixels.

    Weights are signed and rounded by channel, what flows in is unsigned and rounded by the least and largest value
    seen: with signed values onnxruntime is half as fast on Intel's processors.

    Args:
        content: of the file in float32.
        tiles: uint8 (H, W, 3) of the working size, from training images.
    """
    graph = onnx.load_model_from_string(content).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder:
        whole, prepared, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "prepared", "small"))
        whole.write_bytes(content)
        quant_pre_process(whole, prepared, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            small,
            _Tiles(graph.input[0].name, tiles),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[convolutions[0], convolutions[-1]],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        return small.read_bytes()

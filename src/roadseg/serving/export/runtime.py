"""ONNX files in onnxruntime, as the Predictor calls a model."""

from typing import Any

import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.predict.forward import Forward
from roadseg.predict.predictor import Predictor


def onnxruntime() -> Any:
    """The library.

    Raises:
        UsageError: it, or onnx, which writes the files, is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime as found
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed, which export needs: pip install 'roadseg[export]'") from None
    return found


def run_by(content: bytes) -> Forward:
    """A file's model as a function of uint8 batches (N, H, W, 3), on the CPU."""
    library = onnxruntime()
    options = library.SessionOptions()
    # beside other work threads that spin while they wait make it three times as slow: docs/decisions.md
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    [taken] = session.get_inputs()

    def scores(batch: np.ndarray) -> np.ndarray:
        found: Any = session.run(None, {taken.name: np.ascontiguousarray(batch)})[0]
        return np.asarray(found)

    return scores


class OnnxPredictor(Predictor):
    """The one Predictor, whose scores an ONNX file gives instead of the bundle's own model."""

    def __init__(self, bundle: Bundle, content: bytes, batch: int) -> None:
        """As the Predictor, in float32; `content` is the file's."""
        super().__init__(bundle, batch=batch)
        self._run = run_by(content)

    def _predict(self, batch: np.ndarray) -> np.ndarray:
        return self._run(batch)

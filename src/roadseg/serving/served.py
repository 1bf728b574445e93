"""The model as MLflow serves it: images in, masks at the images' own size out."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np


class RoadSegmentation(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # MLflow ships no types
    """Predicts with the bundle in its artifacts."""

    def load_context(self, context: Any) -> None:
        """Load the model once."""
        from roadseg.contracts.bundle import Bundle
        from roadseg.predict.predictor import Predictor

        self._predictor = Predictor(Bundle.open(Path(context.artifacts["bundle"])), precision="auto")

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Predict uint8 images (N, H, W, 3) as uint8 masks (N, H, W)."""
        return np.stack(list(self._predictor(np.asarray(model_input, np.uint8))))


mlflow.models.set_model(RoadSegmentation())

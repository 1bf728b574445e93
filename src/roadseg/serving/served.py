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
        from roadseg.machine.kernels import settle_kernels

        settle_kernels()
        from roadseg.predict.predictor import Predictor  # late: it loads TensorFlow, which reads that once

        self._predictor = Predictor(Bundle.open(Path(context.artifacts["bundle"])), precision="auto")

    # tables, lists and dictionaries come too; of this hint alone MLflow makes neither a signature nor a remark
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """Predict pictures or arrays, see `roadseg.serving.payload`; what cannot be used is answered with 400."""
        from roadseg.contracts.errors import DataRefused
        from roadseg.serving.payload import images_of, payload_of

        try:
            images, as_pictures = images_of(model_input)
        except DataRefused as error:
            raise mlflow.MlflowException.invalid_parameter_value(str(error)) from None
        return payload_of(self._predictor(images), as_pictures)


mlflow.models.set_model(RoadSegmentation())

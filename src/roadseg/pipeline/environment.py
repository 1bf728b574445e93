"""Variables that other libraries read: no telemetry, no start-up chatter, the backend that is installed."""

import os
from importlib.util import find_spec

DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def settle() -> None:
    """Set what the user has not set; call it before those libraries are imported."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "KERAS_BACKEND" not in os.environ and not find_spec("tensorflow") and find_spec("jax"):
        os.environ["KERAS_BACKEND"] = "jax"  # the lock for JAX; Keras would ask for TensorFlow

"""Variables that other libraries read: no telemetry, no start-up chatter."""

import os

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

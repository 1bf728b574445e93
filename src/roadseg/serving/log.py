"""Log a bundle as an MLflow model that loads where roadseg is not installed."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

NEEDS = ("keras", "numpy", "pandas", "pillow", "pyarrow", "pydantic", "pyyaml")
BACKENDS = ("tensorflow-cpu", "tensorflow", "jax")  # one of them, by the lock that is installed


def log_model(bundle: Path, name: str) -> str:
    """Log the bundle to the active run with its code and an example of synthetic pixels.

    Args:
        bundle: its folder.
        name: of the logged model.

    Returns:
        The id of the logged model, `m-...`.
    """
    return str(mlflow.pyfunc.log_model(name=name, **served_model(bundle)).model_id)


def served_model(bundle: Path) -> dict[str, Any]:
    """What MLflow is told of a model, by the names of `mlflow.pyfunc.save_model`."""
    package = Path(__file__).parent.parent
    return {
        "python_model": str(package / "serving" / "served.py"),
        "artifacts": {"bundle": str(bundle)},
        "code_paths": [str(package)],
        # a signature would cast floats to whole numbers, and pass either arrays or pictures
        "signature": False,
        # real pixels may be private
        "input_example": np.random.default_rng(0).integers(0, 256, (1, 16, 32, 3), np.uint8),
        "pip_requirements": requirements(),  # inferring them takes 10 s more
    }


def requirements() -> list[str]:
    """What a served model needs, in the versions that are installed here."""
    backend = next(name for name in BACKENDS if _installed(name))
    return [f"{name}=={version(name)}" for name in (*NEEDS, backend)]


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False

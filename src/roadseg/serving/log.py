"""Log a bundle as an MLflow model that loads where roadseg is not installed."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

NEEDS = ("keras", "numpy", "pandas", "pillow", "pyarrow", "pydantic", "pyyaml")
BACKENDS = ("tensorflow-cpu", "tensorflow", "jax")  # one of them, by the lock that is installed


def log_model(bundle: Path, name: str) -> str:
    """Log the bundle to the active run with code, signature and an example of synthetic pixels.

    Args:
        bundle: its folder.
        name: of the logged model.

    Returns:
        The id of the logged model, `m-...`.
    """
    example = np.random.default_rng(0).integers(0, 256, (1, 16, 32, 3), np.uint8)  # real pixels may be private
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))]),
        Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1))]),
    )
    package = Path(__file__).parent.parent
    logged = mlflow.pyfunc.log_model(
        name=name,
        python_model=str(package / "serving" / "served.py"),
        artifacts={"bundle": str(bundle)},
        code_paths=[str(package)],
        signature=signature,
        input_example=example,
        pip_requirements=requirements(),  # inferring them takes 10 s more
    )
    return str(logged.model_id)


def requirements() -> list[str]:
    """What a served model needs, in the versions that are installed here."""
    backend = next(name for name in BACKENDS if _installed(name))
    return [f"{name}=={version(name)}" for name in (*NEEDS, backend)]


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False

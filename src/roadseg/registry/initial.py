"""Bring a model's weights to where a training can start from them."""

from pathlib import Path

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.weights import NAME, keep_weights
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, fetch_bundle


def bring_weights(model: str) -> str:
    """Copy the training weights of a model to home.

    Args:
        model: `champion`, `candidate`, a version's number, a `models:/` URI or a bundle's folder.

    Returns:
        Their digest, the value for `train.init`.

    Raises:
        UsageError: there is no such model, or its bundle has none or others.
    """
    address = _address(model)
    if not address.startswith("models:/") and not Path(address).is_dir():
        raise UsageError(
            f"{model} is no champion, candidate or version, and no folder: `roadseg models list` shows them"
        )
    bundle = Bundle.open(fetch_bundle(address))
    path = bundle.folder / NAME
    if not path.exists():
        raise UsageError(f"{path} is missing: that model was trained before bundles had it; train it anew")
    digest = keep_weights(path)
    if digest != bundle.card.get("training_weights"):
        raise UsageError(f"{path} is not the file that card.json names: get the bundle anew, such as by `dvc checkout`")
    return digest


def _address(model: str) -> str:
    if model in (CHAMPION, CANDIDATE):
        return f"models:/{MODEL}@{model}"
    if model.isdecimal() and not Path(model).is_dir():
        return f"models:/{MODEL}/{model}"
    return model

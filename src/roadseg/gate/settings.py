"""By which settings models are compared: those of evaluate, not the working size, which is each model's own."""

from collections.abc import Mapping
from typing import Any

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.evaluation import Evaluation, input_key

COMPARED = ("flip", "scales", "overlap", "precision")


def compared_settings(evaluation: Evaluation) -> dict[str, Any]:
    """What a predictor must be told to answer as in an evaluation; nothing where that does not say it."""
    return {name: value for name, value in (evaluation.settings or {}).items() if name in COMPARED}


def key_of(bundle: Bundle, val_manifest: str, settings: Mapping[str, Any], scoring: str | None = None) -> str:
    """Input key of a model's evaluation, known before anything is predicted; by this code unless another is named."""
    height, width = bundle.size
    return input_key(bundle.card["weights"], val_manifest, {**settings, "height": height, "width": width}, scoring)

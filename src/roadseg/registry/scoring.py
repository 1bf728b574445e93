"""What decides the counts of an evaluation beside the images: weights, scoring code and settings."""

from collections.abc import Mapping
from typing import Any

from roadseg.contracts.evaluation import Evaluation
from roadseg.contracts.files import code_digests, digest_of

CODE = ("contracts", "imaging", "predict", "evaluate")


def settings_of(evaluation: Evaluation) -> dict[str, Any]:
    """What a predictor must be told to answer as in an evaluation; nothing where it does not say."""
    return {}


def scoring_key(weights: str, val_manifest: str, settings: Mapping[str, Any]) -> str:
    """Digest of everything that decides the counts: evaluations of one key need not be made twice."""
    return digest_of([weights, val_manifest, code_digests(*CODE), dict(settings)])

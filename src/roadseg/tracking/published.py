"""What publishing leaves in MLflow, as others need to know it; imports no MLflow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """What stands in MLflow: the run, its model, and the digests that name training and evaluation."""

    run_id: str
    model_id: str
    fingerprint: str
    evaluation: str
    val_manifest: str
    weights: str
    commit: str
    dirty: bool
    miou: float
    settings: str = ""  # of the evaluation, as JSON; empty where it does not say them


def evaluation_key(evaluation: str, name: str) -> str:
    """Name of a figure of one evaluation: a later evaluation of the same model has other names."""
    return f"evaluation-{evaluation[:8]}.{name}"

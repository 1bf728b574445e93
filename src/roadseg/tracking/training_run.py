"""The run of a training that has ended: of one fingerprint and one set of weights."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from roadseg.contracts.errors import UsageError
from roadseg.tracking.store import artifact_names, create_run, find_runs

WEIGHTS = "roadseg.weights"
PARENT, PARENT_WEIGHTS = "roadseg.parent", "roadseg.parent.weights"


def claim_run(client: MlflowClient, fingerprint: str, weights: str, *, as_new: bool = False) -> str:
    """Find or make the run of a training that ended with these weights, and write them on it.

    A run without weights is taken: a follower makes it while the training goes on. A follower sends to the first run of
    a fingerprint, since a training has no weights before it ends; what it has not sent goes to the run that is claimed.

    Args:
        client: of the store.
        fingerprint: of the training.
        weights: digest of its bundle's.
        as_new: where runs of this fingerprint hold other weights, make one beside them.

    Returns:
        The run's id.

    Raises:
        UsageError: runs of this fingerprint hold other weights; names both digests.
    """
    held = [(run, _weights(client, run)) for run in find_runs(client, fingerprint)]
    same, free = ([run for run, found in held if found == wanted] for wanted in (weights, None))
    others = [(run, found) for run, found in held if found not in (weights, None)]
    if others and not same and not as_new:
        run, found = others[0]
        raise UsageError(
            f"run {run.info.run_id} of training {fingerprint[:8]} holds the weights {str(found)[:12]}, and "
            f"models/bundle has {weights[:12]}: equal trainings ended differently, as on a GPU they may; "
            "`roadseg publish --as-new` makes a run of its own"
        )
    run = next(iter([*same, *free]), None) or create_run(client, fingerprint)
    if WEIGHTS not in run.data.tags:
        client.set_tag(run.info.run_id, WEIGHTS, weights)
    return str(run.info.run_id)


def _weights(client: MlflowClient, run: Run) -> str | None:
    """Digest of what a run holds; runs of earlier versions say it in their bundle alone."""
    if WEIGHTS in run.data.tags:
        return str(run.data.tags[WEIGHTS])
    if "card.json" not in artifact_names(client, run.info.run_id, "bundle"):
        return None
    return str(mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/bundle/card.json")["weights"])

"""The ledger: one MLflow run per decision, and the state of every move of the alias."""

from dataclasses import dataclass

from mlflow import MlflowClient

from roadseg.registry.former_gate import Decision
from roadseg.tracking.store import experiment_id

EXPERIMENT = "roadseg-ledger"
INTENT, DONE, UNDONE = "intent", "done", "undone"


@dataclass(frozen=True)
class Move:
    """A move of the champion alias that has not been said to be done."""

    run_id: str
    target: int


def record(client: MlflowClient, decision: Decision, *, who: str, why: str) -> str:
    """Write a decision; a promotion is written as an intent before the alias moves.

    Returns:
        The run's id.
    """
    tags = {
        "decision": decision.outcome,
        "reasons": "; ".join(decision.reasons),
        "candidate": str(decision.candidate),
        "champion": str(decision.champion or ""),
        "who": who,
        "why": why,
    }
    if decision.outcome == "PROMOTE":
        tags |= {"state": INTENT, "from": str(decision.champion or ""), "to": str(decision.candidate)}
    name = f"{decision.outcome.lower()}-{decision.candidate}"
    run_id = str(client.create_run(experiment_id(client, EXPERIMENT), tags=tags, run_name=name).info.run_id)
    if decision.outcome != "PROMOTE":
        client.set_terminated(run_id)
    return run_id


def close(client: MlflowClient, run_id: str, state: str) -> None:
    """Say how a move ended."""
    client.set_tag(run_id, "state", state)
    client.set_terminated(run_id)


def open_moves(client: MlflowClient) -> list[Move]:
    """Moves whose process died between intent and done."""
    runs = client.search_runs([experiment_id(client, EXPERIMENT)], f"tags.state = '{INTENT}'")
    return [Move(str(run.info.run_id), int(run.data.tags["to"])) for run in runs]

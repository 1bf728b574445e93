"""Judge a version and move the champion alias: intent in the ledger, alias, done."""

import psutil
from mlflow import MlflowClient, MlflowException

from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.registry import ledger
from roadseg.registry.former_gate import Decision, decide_by_score
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, comparable_evidence, version_at
from roadseg.tracking.store import connect


def promote(version: int | None = None, *, reason: str = "", dry_run: bool = False) -> Decision:
    """Judge a version against the champion; make it champion if it wins.

    Args:
        version: registered version; the newest candidate if None.
        reason: kept in the ledger.
        dry_run: decide only, write nothing.

    Raises:
        UsageError: there is no such version, or nothing is registered.
    """
    client = connect()
    candidate = version_at(client, CANDIDATE) if version is None else version
    if candidate is None:
        raise UsageError(f"no version of {MODEL} is registered: run `roadseg register`")
    if not dry_run:
        _close_open_moves(client)
    champion = version_at(client, CHAMPION)
    evidence = comparable_evidence(client, candidate), comparable_evidence(client, champion) if champion else None
    decision = decide_by_score(*evidence)
    if dry_run or decision.outcome == "CHAMPION ALREADY":
        return decision
    run_id = ledger.record(client, decision, who=psutil.Process().username(), why=reason)
    if decision.outcome == "PROMOTE":
        _move(client, run_id, candidate)
    return decision


def _move(client: MlflowClient, run_id: str, target: int) -> None:
    try:
        client.set_registered_model_alias(MODEL, CHAMPION, str(target))
    except MlflowException:
        ledger.close(client, run_id, ledger.UNDONE)
        raise
    found = version_at(client, CHAMPION)  # setting is unconditional, so another may have been faster
    ledger.close(client, run_id, ledger.DONE if found == target else ledger.UNDONE)
    if found != target:
        raise RoadsegError(f"alias {CHAMPION} is at version {found}, not {target}: someone else moved it; try again")


def _close_open_moves(client: MlflowClient) -> None:
    """Close the moves that a killed process left open, by where the alias is now."""
    champion = version_at(client, CHAMPION)
    for move in ledger.open_moves(client):
        ledger.close(client, move.run_id, ledger.DONE if move.target == champion else ledger.UNDONE)

"""The ledger: one MLflow run per decision and per move of the champion alias, and the state of every move.

It explains every position of the alias: `from` of a move is where the done move before it went `to`.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from mlflow import MlflowClient
from mlflow.entities import Run

from roadseg.contracts.files import digest_of
from roadseg.gate.decision import Decision
from roadseg.tracking.store import every, experiment_id

EXPERIMENT = "roadseg-ledger"
INTENT, DONE, UNDONE = "intent", "done", "undone"
PROMOTE, ROLLBACK, BY_HAND, ASKED = "promote", "rollback", "hand-moved", "asked"  # kinds
DEADLINE = 120.0  # seconds that a move may take; a writer on another machine is taken for dead after them
PAGE = 1000  # entries in one answer of MLflow
LONGEST = 5000  # characters that a tag of MLflow is sure to hold


@dataclass(frozen=True)
class Entry:
    """One run of the ledger, as its tags say it."""

    run_id: str
    started: int
    tags: Mapping[str, str]

    @property
    def when(self) -> datetime:
        """The moment at which it was written."""
        return datetime.fromtimestamp(self.started / 1000, UTC)

    @property
    def target(self) -> int | None:
        """The version that a move goes to; None where the alias is gone."""
        return _number(self.tags.get("to"))

    @property
    def origin(self) -> int | None:
        """The version that a move comes from; None where there was none."""
        return _number(self.tags.get("from"))

    @property
    def kind(self) -> str:
        """Ledgers of earlier versions knew promotions alone."""
        return self.tags.get("kind", PROMOTE)


def of_decision(decision: Decision, *, who: str, why: str, approver: str = "") -> dict[str, str]:
    """What the ledger keeps of a decision: outcome, reasons, evidence, the policy's digest, and of a move its ends."""
    champion = decision.champion
    tags = {
        "kind": PROMOTE,
        "decision": decision.outcome,
        "reasons": "; ".join(decision.reasons)[:LONGEST],
        "candidate": str(decision.candidate.version),
        "champion": str(champion.version) if champion else "",
        "who": approver or who,
        "requester": who,
        "why": why[:LONGEST],
        "weights": decision.candidate.weights or "",
        "evidence.candidate": decision.candidate.key or "",
        "evidence.champion": (champion and champion.key) or "",
        "policy": policy_digest(decision.policy),
        "flow_run": os.environ.get("PREFECT__FLOW_RUN_ID", ""),
    }
    if approver:
        tags["approver"] = approver
    if found := decision.difference:
        figures = {"difference": found.value, "low": found.low, "high": found.high, "probability": found.probability}
        tags |= {name: f"{value:.6f}" for name, value in figures.items()}
    if decision.outcome == "PROMOTE":
        tags |= {"from": tags["champion"], "to": tags["candidate"]}
    return tags


def policy_digest(policy: Mapping[str, object] | None) -> str:
    """Sha256 of the policy that a decision was made by; empty where there was none."""
    return digest_of(dict(policy)) if policy else ""


def record(client: MlflowClient, tags: Mapping[str, str], state: str | None = None) -> Entry:
    """Write an entry; a move is written as an intent before the alias moves.

    Entries are later than those before them, whatever this machine's clock says.
    """
    newest = next(iter(_search(client, "", 1)), None)
    started = max(time.time_ns() // 1_000_000, newest.started + 1 if newest else 0)
    known = {name: value for name, value in tags.items() if value} | ({"state": state} if state else {})
    name = f"{tags.get('decision', tags['kind']).lower()}-{tags.get('to') or tags.get('candidate', '')}"
    run = client.create_run(experiment_id(client, EXPERIMENT), start_time=started, tags=known, run_name=name)
    if state != INTENT:
        client.set_terminated(run.info.run_id)
    return _entry(run)


def close(client: MlflowClient, entry: Entry, state: str) -> None:
    """Say how a move ended."""
    client.set_terminated(entry.run_id)
    client.set_tag(entry.run_id, "state", state)  # last: a move with a state is over


def ledger_entries(client: MlflowClient, most: int | None = None) -> list[Entry]:
    """All entries, or so many, the newest first."""
    return _search(client, "", most)


def open_moves(client: MlflowClient) -> list[Entry]:
    """Moves of which nobody has said how they ended, the newest first."""
    return _search(client, f"tags.state = '{INTENT}'")


def done_moves(client: MlflowClient, most: int | None = None) -> list[Entry]:
    """Moves that were done, or so many, the newest first."""
    return _search(client, f"tags.state = '{DONE}'", most)


def moves_to(client: MlflowClient, version: int) -> list[Entry]:
    """Moves to a version, whatever became of them, the newest first."""
    return _search(client, f"tags.to = '{version}'")


def asked_entries(client: MlflowClient) -> list[Entry]:
    """What people were asked, answered or not, the newest first."""
    return _search(client, f"tags.kind = '{ASKED}'")


def entries_of(client: MlflowClient, flow_run: str) -> list[Entry]:
    """What a flow run has written, the newest first."""
    return _search(client, f"tags.flow_run = '{flow_run}'")


def answers_to(client: MlflowClient, question: Entry) -> list[Entry]:
    """What was decided on a question without a move, the newest first; one at most, unless two died over it."""
    return _search(client, f"tags.question = '{question.run_id}'")


def position(client: MlflowClient) -> int | None:
    """Where the ledger says that the champion alias stands; None where it says nowhere."""
    newest = next(iter(done_moves(client, 1)), None)
    return newest.target if newest else None


def _search(client: MlflowClient, wanted: str, most: int | None = None) -> list[Entry]:
    if not (found := client.get_experiment_by_name(EXPERIMENT)):
        return []
    newest_first = {"order_by": ["attributes.start_time DESC"], "max_results": min(most or PAGE, PAGE)}
    runs: Iterator[Run] = every(client.search_runs, [found.experiment_id], wanted, **newest_first)
    return [_entry(run) for run in islice(runs, most)]


def _entry(run: Run) -> Entry:
    return Entry(str(run.info.run_id), int(run.info.start_time), dict(run.data.tags))


def _number(text: str | None) -> int | None:
    return int(text) if text else None

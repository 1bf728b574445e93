"""What each batch of labels cost, and what the next training made of it: from the batches and the ledger."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any

import mlflow
import numpy as np
import pyarrow.parquet as pq
from mlflow import MlflowClient, MlflowException

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.evaluate.intervals import interval_ends, tail_share
from roadseg.gate.comparison import Comparison, without
from roadseg.gate.decision import Decision
from roadseg.gate.difference import class_ious
from roadseg.labelling.batch import Batch
from roadseg.registry import ledger
from roadseg.registry.decision_page import answered_by
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.ledger import Entry
from roadseg.tracking.store import connect

LEVEL = 0.95  # how often an interval holds the truth, where the policy says nothing
SEED = 0


@dataclass(frozen=True)
class Change:
    """A score of the candidate less that of the champion, with its interval over drives; NaN where it is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bought:
    """A batch, its cost and its gain.

    Attributes:
        batch: its name.
        pictures: that are labelled; 0 before an import.
        pixels, changed: of these pictures, and how many of them people gave another class than the model.
        outcome: what the gate said of the first training that saw the batch; empty where there was none.
        version, before: that were compared then.
        miou: the difference; None where nothing was compared.
        classes: the same by class; empty where the evaluations are out of reach.
        note: why something is missing, in words.
    """

    batch: str
    pictures: int = 0
    pixels: int = 0
    changed: int = 0
    outcome: str = ""
    version: int | None = None
    before: int | None = None
    miou: Change | None = None
    classes: dict[str, Change] = field(default_factory=dict)
    note: str = ""


def what_batches_bought(batches: Iterable[Batch]) -> list[Bought]:
    """Look every batch up; what was registered before it was imported is not looked at.

    Raises:
        RoadsegError: MLflow does not answer.
    """
    client = connect()
    seen = cache(partial(_seen, client))
    decisions = [entry for entry in reversed(ledger.ledger_entries(client)) if entry.tags.get("candidate")]
    return [_bought(client, batch, decisions, seen) for batch in batches]


def _bought(
    client: MlflowClient, batch: Batch, decisions: list[Entry], seen: Callable[[int], frozenset[str]]
) -> Bought:
    done = batch.imported
    if done is None:
        return Bought(batch.name, note="not imported yet")
    counts = np.array(done["counts"], np.int64)
    cost: dict[str, Any] = {"pictures": len(done["pictures"]), "pixels": int(counts.sum())}
    cost["changed"] = cost["pixels"] - int(counts.trace())
    if not set(done["drives"].values()) & {"train"}:
        return Bought(batch.name, **cost, note="all of it is in val: it makes scores surer, not models better")
    ours, begun = set(done["pictures"]), datetime.fromisoformat(done["when"])
    for entry in decisions:
        if entry.when.timestamp() < int(begun.timestamp()) or not entry.tags.get("champion"):
            continue
        candidate, champion = int(entry.tags["candidate"]), int(entry.tags["champion"])
        if seen(candidate) & ours and not seen(champion) & ours:
            outcome = entry.tags.get("decision", "")
            known = Bought(batch.name, **cost, outcome=outcome, version=candidate, before=champion)
            return _compared(client, entry, known)
    return Bought(batch.name, **cost, note="no model that has seen it was judged yet: retrain, register and promote")


def _seen(client: MlflowClient, version: int) -> frozenset[str]:
    """Digests of the images that a version was trained on; none where that is out of reach."""
    try:
        folder = Stored.find(client, version).bundle.folder
    except UsageError:
        return frozenset()
    return frozenset(pq.read_table(folder / "samples.parquet", columns=["image_sha"])["image_sha"].to_pylist())


def _compared(client: MlflowClient, entry: Entry, known: Bought) -> Bought:
    """With what the ledger says of the two, and the classes from their evaluations."""
    fields = {name: getattr(known, name) for name in known.__dataclass_fields__}
    if "difference" not in entry.tags:
        return Bought(**fields | {"note": f"nothing was compared: {entry.tags.get('reasons', '')}"})
    fields["miou"] = Change(*(float(entry.tags[name]) for name in ("difference", "low", "high")))
    try:
        place = f"runs:/{entry.run_id}/{paths.DECISION.name}"
        decision = Decision.from_json(mlflow.artifacts.load_dict(place))
        candidate, champion = (answered_by(client, each) for each in (decision.candidate, decision.champion))
    except (MlflowException, OSError, KeyError, TypeError, ValueError):
        candidate = champion = None
    if candidate is None or champion is None:
        return Bought(**fields | {"note": "the evaluations are out of reach, so classes are not known"})
    out = [each.drive for each in decision.left_out]
    both = Comparison(without(champion.evaluation, out), without(candidate.evaluation, out))
    level = float((decision.policy or {}).get("confidence", LEVEL))
    return Bought(**fields | {"classes": changes_by_class(both, level)})


def changes_by_class(both: Comparison, level: float) -> dict[str, Change]:
    """Candidate less champion in the IoU of each class, with its interval over drives."""
    pair, names = both.pair(), both.candidate.counts.classes.names
    value = pair.difference(class_ious)
    if pair.drives < 2:
        return {name: Change(float(each), np.nan, np.nan) for name, each in zip(names, value, strict=True)}
    low, high = interval_ends(pair.redrawn(class_ious, SEED), tail_share(pair.drives, level))
    ends = zip(names, value, low, high, strict=True)
    return {name: Change(*map(float, numbers)) for name, *numbers in ends}

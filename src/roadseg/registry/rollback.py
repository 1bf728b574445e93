"""Bring an earlier champion back."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import home
from roadseg.contracts.manifest import read_manifest
from roadseg.registry import ledger
from roadseg.registry.alias import me, move, settle_moves
from roadseg.registry.evidence.query import LOG, query
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.ledger import Entry
from roadseg.tracking.store import connect


def roll_back(to: int | None = None, *, reason: str, requester: str = "") -> tuple[int, int]:
    """Load and ask an earlier version, then make it champion.

    Its counts are compared where the tree in the current directory has the val split of its evaluation; elsewhere it
    is asked whether it answers at all.

    Args:
        to: the version; None: the champion before the present one, by the ledger.
        reason: kept in the ledger.
        requester: who asks for it, as they say; the account of this process if empty.

    Returns:
        The version that was champion, and the one that is.

    Raises:
        UsageError: see `find_ends`.
        RoadsegError: the earlier version does not answer as it should; nothing has moved.
    """
    client = connect()
    champion, target = find_ends(client, to)
    _ask(Stored.find(client, target))
    move(client, _tags(client, champion, target, reason) | {"who": requester or me()})
    return champion, target


def find_ends(client: MlflowClient, to: int | None = None) -> tuple[int, int]:
    """From which champion to which version a rollback goes.

    Args:
        client: of the store.
        to: see `roll_back`.

    Raises:
        UsageError: there is no champion, or none before it, or `to` is champion already.
    """
    champion = settle_moves(client)
    if champion is None:
        raise UsageError("there is no champion to roll back: `roadseg promote` makes the first")
    target = before(ledger.done_moves(client), champion) if to is None else to
    if target is None:
        raise UsageError(f"the ledger knows no champion before version {champion}: name one by --to VERSION")
    if target == champion:
        raise UsageError(f"version {target} is champion already")
    return champion, target


def before(moves: Sequence[Entry], champion: int) -> int | None:
    """The champion from which the present one took over; a rollback to it is no taking over.

    Args:
        moves: done, the newest first.
        champion: the present one.
    """
    took = (move for move in moves if move.target == champion and move.kind != ledger.ROLLBACK)
    return next((move.origin for move in took), None)


def _ask(stored: Stored) -> None:
    try:
        evaluation = _comparable(stored)
    except UsageError as error:
        print(f"warning: its counts are not compared: {error}", file=sys.stderr)
        evaluation = None
    answered = query(stored.bundle.folder, evaluation)
    if answered is None:
        raise RoadsegError(f"version {stored.version} gave no answer when it was loaded and asked: see {home() / LOG}")
    if answered.faults:
        shutil.rmtree(stored.bundle.folder)  # it may be this copy alone that is damaged
        raise RoadsegError(
            f"version {stored.version} is not fit to serve: {'; '.join(answered.faults)}; run it again to fetch the "
            "model from MLflow anew"
        )


def _comparable(stored: Stored) -> Path | None:
    """The folder of its evaluation, where this tree has the val images that it was made on."""
    if not stored.registered or not paths.MANIFEST.exists():
        return None
    rows = read_manifest(paths.MANIFEST)
    there = all((paths.RAW / row["image"]).is_file() for row in rows.records("val"))
    return stored.evaluation_folder if there and stored.evaluation.val_manifest == rows.digest("val") else None


def _tags(client: MlflowClient, champion: int, target: int, reason: str) -> dict[str, str]:
    """What the ledger keeps; of what is left also by which evidence and policy it had won, to know it again."""
    tags = {"kind": ledger.ROLLBACK, "decision": "ROLLBACK", "from": str(champion), "to": str(target)}
    tags |= {"why": reason, "reasons": f"version {champion} was rolled back"}
    tags["flow_run"] = os.environ.get("PREFECT__FLOW_RUN_ID", "")
    stored = Stored.find(client, champion)
    left = stored.promised or stored.tags.get("weights")
    won = (move for move in ledger.done_moves(client) if move.target == champion and move.kind == ledger.PROMOTE)
    known = next((move.tags for move in won), {})
    told = {"weights": left, "evidence": known.get("evidence.candidate"), "policy": known.get("policy")}
    return tags | {f"left.{name}": value for name, value in told.items() if value}

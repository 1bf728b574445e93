"""Move the champion alias so that the ledger explains every position of it, whoever dies on the way.

MLflow sets an alias whatever stands there. So within a home one process at a time moves it, by a lock; between
machines whoever sees the open intent of another draws back: of two that both wrote theirs, one at least sees it. And
whoever sees none looks at the alias again, since a whole move may have passed before its own intent.
"""

import random
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil
from filelock import FileLock, Timeout
from mlflow import MlflowClient, MlflowException

from roadseg.contracts.errors import Busy
from roadseg.contracts.files import digest_of, failpoint, home
from roadseg.registry import ledger
from roadseg.registry.ledger import Entry
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, version_at

FAILPOINTS = ("move:intend", "move:intended", "move:moved", "move:candidate", "move:tagged", "move:done")
LOCK = "promote.lock"
PATIENCE = 60.0  # seconds for another process of this home to finish its move
TRIES = 8  # against movers on other machines
ELSEWHERE = f"alias {CHAMPION} is being moved from another machine: `roadseg models history` shows by whom"
TAGS = {"decision": "decision", "decision.reason": "reasons", "decision.who": "who", "decision.why": "why"}


class Moved(Busy):
    """The champion is another than the one that was decided about."""


def me() -> str:
    """Name of whoever runs this process."""
    return str(psutil.Process().username())


def settle_moves(client: MlflowClient) -> int | None:
    """Bring ledger and alias together: finish or undo moves of the dead, write down what somebody moved by hand.

    Returns:
        The champion's version, or None.
    """
    with moving_alone():
        return _settle(client)


def move(client: MlflowClient, tags: Mapping[str, str]) -> Entry:
    """Move the champion alias: intent, alias, read again, done.

    Args:
        client: of the store.
        tags: of the ledger's entry, `from` and `to` among them.

    Returns:
        The entry.

    Raises:
        Moved: the champion is not `from`, or somebody else moved it at this very moment; decide anew.
        Busy: others move it without end.
    """
    for attempt in range(TRIES):
        with moving_alone():
            champion = _settle(client)
            if str(champion or "") != tags["from"]:
                raise Moved(f"alias {CHAMPION} is at version {champion}, not {tags['from'] or None}: try again")
            failpoint("move:intend")
            entry = ledger.record(client, dict(tags) | _mine(), ledger.INTENT)
            failpoint("move:intended")
            if all(other.run_id == entry.run_id for other in ledger.open_moves(client)):
                _refuse_overtaken(client, entry)
                _carry_out(client, entry)
                return entry
            ledger.close(client, entry, ledger.UNDONE)
        time.sleep(random.uniform(0, 0.2 * 2**attempt))  # else two would meet again
    raise Busy(ELSEWHERE)


def _refuse_overtaken(client: MlflowClient, entry: Entry) -> None:
    """A whole move of another machine may have passed between the look at the alias and the intent."""
    if (champion := version_at(client, CHAMPION)) != entry.origin:
        ledger.close(client, entry, ledger.UNDONE)
        raise Moved(f"alias {CHAMPION} is at version {champion}, not {entry.origin}: try again")


def _carry_out(client: MlflowClient, entry: Entry) -> None:
    try:
        client.set_registered_model_alias(MODEL, CHAMPION, str(entry.target))
    except MlflowException:
        with suppress(MlflowException):  # where the store is gone, the next call settles it
            ledger.close(client, entry, ledger.UNDONE)
        raise
    failpoint("move:moved")
    found = version_at(client, CHAMPION)
    if found != entry.target:
        ledger.close(client, entry, ledger.UNDONE)
        raise Moved(f"alias {CHAMPION} is at version {found}, not {entry.target}: someone else moved it; try again")
    _finish(client, entry)


def _finish(client: MlflowClient, entry: Entry) -> None:
    """What belongs to a move whose alias stands."""
    if version_at(client, CANDIDATE) == entry.target:
        client.delete_registered_model_alias(MODEL, CANDIDATE)
    failpoint("move:candidate")
    write_tags(client, str(entry.target), entry.tags)
    failpoint("move:tagged")
    ledger.close(client, entry, ledger.DONE)
    failpoint("move:done")


def write_tags(client: MlflowClient, version: str, tags: Mapping[str, str]) -> None:
    """Put what was decided where people see it in MLflow: on the version."""
    shown = {name: tags[source] for name, source in TAGS.items() if tags.get(source)}
    if "difference" in tags:
        figures = [float(tags[name]) for name in ("difference", "low", "high")]
        shown["decision.difference"] = "{:+.4f} ({:+.4f} to {:+.4f})".format(*figures)
    for name, value in shown.items():
        client.set_model_version_tag(MODEL, version, name, value)


def _settle(client: MlflowClient) -> int | None:
    for _ in range(TRIES):
        champion = _close_left(client)
        explained = ledger.position(client)
        if champion == explained or champion in {entry.target for entry in ledger.open_moves(client)}:
            return champion
        # a whole move of another machine may have passed between these looks: what the alias and the ledger both say
        # once more, and in this order, is no such move
        if (version_at(client, CHAMPION), ledger.position(client)) == (champion, explained):
            _write_hand_move(client, explained, champion)
            return champion
    raise Busy(ELSEWHERE)


def _close_left(client: MlflowClient) -> int | None:
    """Finish or undo what the dead have left; where the alias stood before."""
    champion = version_at(client, CHAMPION)
    for entry in ledger.open_moves(client):
        if entry.tags.get("home") not in (None, _home()) and time.time() < float(entry.tags.get("deadline", 0)):
            continue  # somebody on another machine is at it
        if entry.target == champion:
            _finish(client, entry)
        else:
            ledger.close(client, entry, ledger.UNDONE)
    return champion


def _write_hand_move(client: MlflowClient, before: int | None, now: int | None) -> None:
    tags = {"kind": ledger.BY_HAND, "from": str(before or ""), "to": str(now or ""), "who": "someone, in MLflow"}
    tags |= {"noticed_by": me(), "reasons": f"alias {CHAMPION} was found at version {now}, not {before}"}
    ledger.record(client, tags, ledger.DONE)
    if now and version_at(client, CANDIDATE) == now:
        client.delete_registered_model_alias(MODEL, CANDIDATE)


def _mine() -> dict[str, str]:
    return {"home": _home(), "deadline": str(time.time() + ledger.DEADLINE)}


def _home() -> str:
    """This home on this machine: whoever holds its lock knows that nobody else here is moving."""
    place = (home() / LOCK).stat()
    return digest_of([socket.gethostname(), str(home()), place.st_dev, place.st_ino])[:16]


@contextmanager
def moving_alone() -> Iterator[None]:
    """While no other process of this home moves the alias, or deletes what it may move to."""
    home().mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home() / LOCK).acquire(timeout=PATIENCE):
            yield
    except Timeout:
        raise Busy(f"{home() / LOCK} is held by another process that moves the alias: try again") from None

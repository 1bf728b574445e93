"""The ledger as people read it."""

from datetime import UTC, datetime

from roadseg.contracts import paths
from roadseg.registry import ledger
from roadseg.registry.alias import settle_moves
from roadseg.registry.ledger import Entry
from roadseg.registry.question import ANSWER
from roadseg.tracking.data_page import page_link
from roadseg.tracking.store import artifact_names, connect

PAGE = paths.DECISION_PAGE.name


def history_rows(most: int | None = None) -> list[dict[str, str]]:
    """Every entry, newest first: when, what, from, to, who, why, on which evidence, and where its page is, if any.

    Moves of the dead are settled first, and moves by hand written down.
    """
    client = connect()
    settle_moves(client)
    return [
        {
            "when": f"{entry.when:%Y-%m-%d %H:%M} UTC",
            "what": _what(entry),
            "from": entry.tags.get("from") or entry.tags.get("champion", ""),
            "to": entry.tags.get("to") or entry.tags.get("candidate", ""),
            "who": _who(entry),
            "why": _why(entry),
            "evidence": " against ".join(
                key[:8] for name in ("candidate", "champion") if (key := entry.tags.get(f"evidence.{name}"))
            ),
            "page": page_link(entry.run_id, PAGE) if PAGE in artifact_names(client, entry.run_id) else "",
        }
        for entry in ledger.ledger_entries(client, most)
    ]


def _why(entry: Entry) -> str:
    """What whoever asked said, and the deciding reason; the page and MLflow have the others."""
    first, _, others = entry.tags.get("reasons", "").partition("; ")
    more = f" (and {others.count('; ') + 1} more)" if others else ""
    return "; ".join(filter(None, (entry.tags.get("why"), first + more)))


def _what(entry: Entry) -> str:
    said = entry.tags.get("decision", entry.kind).lower()
    if entry.kind == ledger.ASKED:
        until = datetime.fromtimestamp(float(entry.tags["deadline"]), UTC)
        return f"{said} (asked until {until:%Y-%m-%d %H:%M} UTC: {entry.tags.get(ANSWER, 'no answer yet')})"
    ended = entry.tags.get("state")
    return said if ended in (None, ledger.DONE) else f"{said} ({ended})"


def _who(entry: Entry) -> str:
    who, requester = entry.tags.get("who", ""), entry.tags.get("requester")
    return f"{who}, asked by {requester}" if requester and requester != who else who

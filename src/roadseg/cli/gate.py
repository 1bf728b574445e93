"""Verbs about who is champion: promote, rollback, and the ledger's history."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from roadseg.contracts import paths

if TYPE_CHECKING:
    from roadseg.gate.decision import Decision

SHOWN = 20  # entries of the ledger
MOST_REASONS = 6  # of a decision


def promote(
    version: Annotated[int | None, typer.Argument(help="Registered version; the newest candidate if left out.")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and explain, move nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Approve without being asked, for scripts.")] = False,
    new_table: Annotated[
        bool, typer.Option("--new-table", help="Take a model of another class table, which no score can compare.")
    ] = False,
) -> None:
    """Judge a candidate against the champion; move the alias if it wins.

    Both are compared on the candidate's val split; the champion is scored on it where it was not. The candidate is
    loaded from MLflow and asked first. The policy is section `promote` of params.yaml. Where a person must approve, you
    are shown the reasons and asked. Exits 4 when the candidate is held or rejected.

    Example: `roadseg promote --dry-run`, then `roadseg promote --reason "weekly retraining"`
    """
    from roadseg.registry.promote import promote as decide_and_move

    def approve(decision: "Decision") -> bool:
        print(_shown(decision))
        if paths.DECISION_PAGE.exists():
            print(f"the page with pictures: {paths.DECISION_PAGE}")
        return yes or (sys.stdin.isatty() and typer.confirm(f"Make version {decision.candidate.version} champion?"))

    decision = decide_and_move(version, reason=reason, dry_run=dry_run, new_table=new_table, approve=approve)
    print(_shown(decision))
    raise typer.Exit(decision.exit_code)


def _shown(decision: "Decision") -> str:
    """Outcome and the first reasons, a line each; the page has all."""
    more = len(decision.reasons) - MOST_REASONS
    others = [f"and {more} more: see {paths.DECISION_PAGE}, or {paths.DECISION}"] if more > 0 else []
    first = f"{decision.outcome} version {decision.candidate.version}"
    return "\n  ".join([first, *decision.reasons[:MOST_REASONS], *others])


def rollback(
    reason: Annotated[str, typer.Option(help="Kept in the ledger, and shown when that version wins again.")],
    to: Annotated[int | None, typer.Option(help="Version to bring back; the champion before if left out.")] = None,
) -> None:
    """Bring an earlier champion back: load and ask it, then move the alias.

    The version that was left is not promoted again by a flow while its evidence and the policy stay as they were.

    Examples: `roadseg rollback --reason "misses wet roads"`; `roadseg rollback --to 3 --reason "the one before"`
    """
    from roadseg.registry.rollback import roll_back

    before, now = roll_back(to, reason=reason)
    print(f"version {now} is champion, version {before} was")


def history(
    every: Annotated[bool, typer.Option("--all", help=f"All entries, not the last {SHOWN}.")] = False,
) -> None:
    """Show who moved the champion or was refused: when, from, to, why, by which evidence; the newest first.

    Example: `roadseg models history`
    """
    from roadseg.registry.history import history_rows

    rows = history_rows(None if every else SHOWN)
    if not rows:
        print("the ledger is empty: `roadseg promote` writes its first entry")
        return
    for row in rows:  # no table: reasons are sentences
        before, stayed = row["from"] or "none", row["what"].startswith(("hold", "reject"))
        moved = f"version {row['to']} against {before}" if stayed else f"{before} -> {row['to']}"
        print(f"{row['when']}  {row['what']}  {moved}  by {row['who']}")
        for name in ("why", "evidence", "page"):
            if row[name]:
                print(f"  {name}: {row[name]}")

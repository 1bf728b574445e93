"""`roadseg runs` and `roadseg why`: what the last runs did, and what a next one would find changed."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadseg.contracts.files import home

if TYPE_CHECKING:
    from roadseg.workspace.records import RunRecord

app = typer.Typer(help="Show what the last runs did, and bring their results here.")
SHOWN = 20
Run = Annotated[str, typer.Argument(help="Its id, the first characters of it, or its name.")]


def why_rerun(
    revision: Annotated[
        str, typer.Option(help="A branch, a tag or a commit that a deployment would run on; else this tree.")
    ] = "",
) -> None:
    """Say what changed since the last run that came to a decision: data by drive, parameters by key, code by file.

    Nothing is run and no data are brought.

    Examples: `roadseg why`; `roadseg why --revision main`
    """
    from roadseg.workspace.changes import find_changes, tree_changes
    from roadseg.workspace.records import last_final
    from roadseg.workspace.revision import find_revision

    before, here = last_final(), Path.cwd()
    if revision:
        found = find_revision(here, revision)
        for note in found.notes:
            print(f"note: {note}")
        changes = find_changes(here, found.commit, {}, before)
    else:
        changes = tree_changes(here, before)
    if before:
        print(f"since {before.name or before.run} of {_when(before.started)}:")
    for line in changes.lines():
        print(f"  {line}")
    if not changes.asks_gate:
        print("a run would end at once, skipped")


@app.callback(invoke_without_command=True)
def runs(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help=f"All runs, not the last {SHOWN}.")] = False,
) -> None:
    """List the last runs of this home: when, what they did, how long, on what.

    Examples: `roadseg runs`; `roadseg runs show 3fa9c120`; `roadseg runs apply 3fa9c120`
    """
    if context.invoked_subcommand:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from roadseg.workspace.records import read_records

    records = read_records(None if every else SHOWN)
    if not records:
        print(f"no run has left a record in {home()}: `make up`, or `python -m flows.retrain`")
        return
    table = Table("run", "started", "deployment", "what it did", "took", "revision", "why", box=None)
    for record in records:
        table.add_row(
            record.run[:8],
            _when(record.started),
            record.deployment,
            escape(record.name or record.state),  # people write what they like
            _took(record),
            escape(record.revision),
            escape(record.reason),
        )
    Console().print(table)


@app.command("show")
def show_run(run: Run) -> None:
    """Show one run: why it ran, its stages, the decision, and where its results and its workspace are.

    Example: `roadseg runs show 3fa9c120`
    """
    from roadseg.workspace.records import find_record, records_folder
    from roadseg.workspace.tree import place_of

    record = find_record(run)
    facts = {
        "run": record.run,
        "what it did": record.name or record.state,
        "state": record.state,
        "deployment": record.deployment,
        "started": f"{_when(record.started)}, took {_took(record)}",
        "asked by": record.requester,
        "reason": record.reason,
        "revision": f"{record.revision} {record.base[:9]}".strip(),
        "results": f"{record.branch} {record.commit[:9]}".strip(),
        "version": str(record.version or ""),
        "page": record.url,
        "problem": record.problem,
        "decision and page": str(folder) if (folder := records_folder() / record.run).is_dir() else "",
        "workspace": place_of(record),
    }
    for name, value in facts.items():
        if value:
            print(f"{name:18} {value}")
    for line in record.changes:
        print(f"why                {line}")
    for name, stage in record.stages.items():
        print(f"stage {name:12} {stage.get('ended', '')} {_seconds(stage.get('seconds'))} {stage.get('why', '')}")
    for reason in (record.decision or {}).get("reasons", []):
        print(f"gate               {reason}")


@app.command("apply")
def apply_run(run: Run) -> None:
    """Bring a run's params.yaml, dvc.lock, metrics.json, verdict and data files into this checkout, staged.

    They must be clean here. The commit is yours: look at `git diff --cached` first.

    Example: `roadseg runs apply 3fa9c120`, then `git commit`, then `dvc checkout`
    """
    from roadseg.contracts.errors import UsageError
    from roadseg.workspace.records import find_record
    from roadseg.workspace.results import apply_results

    record = find_record(run)
    if not record.branch:
        raise UsageError(f"run {record.run[:8]} ({record.name or record.state}) left no branch with results")
    changed = apply_results(Path.cwd(), record.branch)
    if not changed:
        print(f"this checkout has all of {record.branch} already")
        return
    print(f"staged from {record.branch}: {', '.join(changed)}")
    print(f"next: git commit -m 'Take the results of run {record.run[:8]}' -- {' '.join(changed)}; then dvc checkout")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _took(record: "RunRecord") -> str:
    return _seconds((record.ended or time.time()) - record.started) + ("" if record.ended else " so far")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else f"{rest} s"

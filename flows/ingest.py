"""The ingest flow: a look at an inbox; what arrived is judged apart, versioned, pushed, and others are told of it.

A look ends in seconds where nothing has arrived. `roadseg data ingest` does the same in a person's own tree.
"""

from pathlib import Path
from textwrap import shorten
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State

from flows.apart import run_apart
from flows.options import Group, Requester, WhenBusy, check
from flows.run import Run, ended, recorded
from flows.tell import tell
from flows.turn import give_way, hold_workspace, in_the_way, skipped, yield_to
from roadseg.contracts import paths
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import failpoint
from roadseg.intake.inbox.memory import looking, of_branch
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.reading import news
from roadseg.intake.inbox.report import Report
from roadseg.intake.inbox.take import finish
from roadseg.intake.places import forget_addition
from roadseg.pipeline.dvc import dvc
from roadseg.pipeline.settings import read_settings
from roadseg.workspace.data_branch import BRANCH, advance
from roadseg.workspace.remote import Committed
from roadseg.workspace.revision import find_revision
from roadseg.workspace.tree import bring_data

CHANGED = "roadseg.dataset.changed"
SUMMARY, NAMED = 400, 80  # characters of an event that become reason and requester of a run of retrain
SHOWN = 6  # drives that a commit's subject and a run's name count out
FAILPOINTS = ("ingest:taken", "ingest:pushed", "ingest:advanced", "ingest:told")
DEFAULTS = Inbox()


class IngestOptions(Group):
    """What `ingest` can be told; the flow's signature has the same fields."""

    inbox: Inbox = DEFAULTS
    when_busy: WhenBusy = "wait"
    requester: Requester = ""


@flow(name="ingest", log_prints=False, validate_parameters=False)  # checked in the flow, in one line
def ingest(inbox: Inbox = DEFAULTS, when_busy: WhenBusy = "wait", requester: Requester = "") -> State[Any]:
    """Take what has arrived in a folder or a bucket into the data.

    New drives are judged beside the present data before any of them enters. Good ones are committed on branch
    roadseg/data and pushed; bad ones lie in refused/ beside the folder with the reasons; halves wait for the rest.

    Args:
        inbox: the folder or the bucket, and how it is watched.
        when_busy: What to do where another run works: wait (it starts by itself), skip (the next look takes what has
            arrived), or replace (wait, and take the place of the runs of this deployment that wait).
        requester: who asks; kept in the run's record.
    """
    given = {"inbox": inbox, "when_busy": when_busy, "requester": requester}
    with recorded("ingest", requester=str(requester)) as run:
        options = check(IngestOptions, given)
        if (instead := give_way(run)) is not None:
            return instead
        place = options.inbox
        if not place.folder and not place.path.is_dir():
            return skipped(run, f"no inbox: make {place.path}, or set inbox.folder")
        try:
            return _look(run, place)
        except Busy as busy:
            return yield_to(run, in_the_way(busy), options.when_busy)


def _look(run: Run, inbox: Inbox) -> State[Any]:
    with looking(of_branch(run.repository)) as memory:
        fresh, notes = news(inbox, memory)
        unsaid = memory.unsaid
    if not fresh and not unsaid:
        return skipped(run, "; ".join(notes) or f"nothing new in {inbox.place}")
    revision = find_revision(run.repository)
    run.note(revision=revision.name, base=revision.commit)
    with hold_workspace(run, revision.commit) as tree:
        return _ingest(run, inbox, tree)


def _ingest(run: Run, inbox: Inbox, tree: Path) -> State[Any]:
    forget_addition(tree)  # of a look that was killed: what it added is still in the inbox
    bring_data(tree)
    report = judge_and_add(inbox, tree, of_branch(run.repository))
    failpoint("ingest:taken")
    committed = version_and_push(run.repository, tree, report) if report.new or report.drives else None
    if committed:
        if report.drives:
            announce_change(run, tree, committed, report.drives)
        failpoint("ingest:told")
        run.note(commit=committed.commit, branch=BRANCH)
        run.warn(committed.problem)
    with looking(of_branch(run.repository)) as memory:
        lines = [*report.lines(), *finish(inbox, memory, report)]
    return _end(run, report, lines)


@task(task_run_name="judge and add")
def judge_and_add(inbox: Inbox, tree: Path, state: str) -> Report:
    """Judge what has arrived beside the present data and add the good drives to data/raw of the workspace.

    Args:
        inbox: the folder and its options.
        tree: the workspace's project folder.
        state: of the looks, see `memory.of_branch`.

    Raises:
        Busy: another look or import is at work.
        RoadsegError: it could not be done; with the last lines.
    """
    arguments = [state, inbox.model_dump_json()]
    return Report.of(run_apart(tree, "roadseg.intake.inbox", arguments, "ingested"))


@task(task_run_name="version and push")
def version_and_push(repository: Path, tree: Path, report: Report) -> Committed:
    """Push the data to DVC's remote where there is one, then commit their pointers on the data branch and push it.

    In that order: whoever sees the commit can get the data.
    """
    if dvc(tree, "remote", "list").strip():
        dvc(tree, "push", "--quiet", str(paths.RAW_DVC))
    failpoint("ingest:pushed")
    committed = advance(repository, tree, _message(report))
    failpoint("ingest:advanced")
    get_run_logger().info("%s is at %s", BRANCH, committed.commit)
    return committed


def announce_change(run: Run, tree: Path, committed: Committed, drives: list[str]) -> None:
    """Say that the data changed: retrain starts of it."""
    name = (read_settings(tree / paths.PARAMS).get("scan") or {}).get("dataset") or "data"
    summary = shorten(_counted(drives), SUMMARY, placeholder=" ...")
    told = {"revision": committed.commit, "branch": BRANCH, "drives": drives, "summary": summary}
    run.announce(CHANGED, f"roadseg.dataset.{name[:NAMED]}", **told)


def _message(report: Report) -> str:
    return f"Take {_counted(report.drives)}\n\n" + "\n".join(report.drives) + "\n"


def _counted(drives: list[str]) -> str:
    return ", ".join(drives) if 0 < len(drives) <= SHOWN else f"{len(drives)} drives"


def _end(run: Run, report: Report, lines: list[str]) -> State[Any]:
    """Name the run by what it did, show it, and tell people of what was refused."""
    refused = {drive: reasons for fate in report.fates.values() for drive, reasons in fate.refused.items()}
    waits = {drive for fate in report.fates.values() for drive in fate.waits}
    counts = {"took": report.drives, "refused": list(refused), "waiting": sorted(waits)}
    said = ", ".join(f"{word} {_counted(names)}" for word, names in counts.items() if names)
    name = "Taken" if report.drives else "Refused" if refused else "Incomplete" if waits else "Known"
    run.note(state=name, outcome=name.lower(), changes=lines)
    run.name_it(said or "nothing new")
    _show(lines)
    if refused:
        reasons = "\n".join(f"{drive}: {listed[0]}" for drive, listed in refused.items())
        tell("refused", f"ingest: {said}", reason=reasons, link=run.record.url)
    return ended(name, "; ".join(lines) or "nothing new")


def _show(lines: list[str]) -> None:
    try:
        create_markdown_artifact("\n".join(f"- {line}" for line in lines), key="inbox", description="What has arrived")
    except Exception as error:
        get_run_logger().warning("what was done is not shown: %s: %s", type(error).__name__, error)

"""What a retraining does once it is its turn: in the tree it was started in, or in the workspace."""

import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.options import RetrainOptions, overridden
from flows.outcome import conclude, in_words
from flows.pages import report_refusal, show_why
from flows.progress import Progress
from flows.run import Run
from flows.stages import NOTHING, StageFailed, commit_sources, run_stage
from flows.steps import promote, publish_and_judge
from flows.turn import hold_workspace, in_the_way, skipped, working_alone, yield_to
from roadseg.contracts import paths
from roadseg.contracts.errors import REFUSED, Busy, RoadsegError
from roadseg.contracts.files import home, replacing
from roadseg.gate.decision import Decision
from roadseg.pages.judgement import read_judgement
from roadseg.pipeline.git import git, git_state
from roadseg.pipeline.graph import read_graph, sources, why_all
from roadseg.workspace.changes import Changes, find_changes, tree_changes
from roadseg.workspace.data import raw_md5
from roadseg.workspace.data_branch import current_data
from roadseg.workspace.lock import present_holder
from roadseg.workspace.records import RunRecord, keep_lock, kept_lock, last_final
from roadseg.workspace.remote import Committed
from roadseg.workspace.results import branch_name, commit_results, keep_commit, write_overrides
from roadseg.workspace.revision import find_revision
from roadseg.workspace.tree import bring_data

Ended = Decision | State[Any]


def in_tree(run: Run, asked: RetrainOptions) -> Ended:
    """Work in the current directory, as a person has it; what they edit meanwhile belongs to the next run.

    A home trains once at a time, so this takes the lock of its workspace, and nothing else of it.
    """
    tree, before, started_from = Path.cwd(), last_final(), git_state(Path.cwd())
    get_run_logger().info("tree %s, home %s", tree, home())
    changes = tree_changes(tree, before)
    _say_why(run, changes, ())
    run.note(base=started_from.commit, commit="" if started_from.dirty else started_from.commit, data=_data(tree))
    if before and before.decision and not (changes.asks_gate or asked.force):
        skip = skipped(run, changes.sentence(), "nothing changed")
        return Completed(name=skip.name, message=skip.message, data=Decision.from_json(before.decision))
    try:
        with working_alone(run):
            _bring_up_to_date(run, tree, force=asked.force)
            decision = publish_and_judge(run, tree, started_from)
    except Busy as busy:
        return skipped(run, str(busy))
    run.note(lock=keep_lock(run.id, tree))
    return conclude(run, decision)


def in_workspace(run: Run, asked: RetrainOptions) -> Ended:
    """Work in the workspace in home, at the revision that was asked for, and commit what comes out on a branch."""
    if holder := present_holder():
        return yield_to(run, str(holder), asked.when_busy)
    before, revision = last_final(), find_revision(run.repository, asked.revision)
    changes = find_changes(run.repository, revision.commit, overridden(asked.overrides), before)
    run.note(revision=revision.name, base=revision.commit)
    _say_why(run, changes, (*revision.notes, *current_data(run.repository, revision.commit).notes))
    if not (changes.asks_gate or asked.force):
        return skipped(run, changes.sentence(), "nothing changed")
    run.name_it("works: " + ("the first run" if changes.first else changes.sentence()), so_far=True)
    try:
        with hold_workspace(run, revision.commit) as tree, chdir(tree):
            decision = _work(run, asked, tree, changes, before)
    except Busy as busy:  # another run, or a person who trains this very thing in a tree of theirs
        return yield_to(run, in_the_way(busy), asked.when_busy)
    return conclude(run, decision)


def _work(run: Run, asked: RetrainOptions, tree: Path, changes: Changes, before: RunRecord | None) -> Decision:
    run.note(commit=write_overrides(tree, overridden(asked.overrides)), data=_data(tree))
    started_from = git_state(tree)
    get_run_logger().info("workspace %s at %s, home %s", tree, started_from.commit[:12], home())
    if before and before.version and not (changes.reruns or asked.force):
        _lay_results(tree, before)
        bring_data(tree)
        decision = promote(before.version, run.record.reason or "flow retrain", run.folder)
    else:
        _bring_up_to_date(run, tree, bring_data(tree), force=asked.force)
        if started_from.commit != run.record.base:  # MLflow will name it, whatever becomes of this run
            _keep(run, lambda branch: keep_commit(tree, branch))
        decision = publish_and_judge(run, tree, started_from)
    run.note(lock=keep_lock(run.id, tree))
    _keep(run, lambda branch: commit_results(tree, branch, f"{in_words(decision)}\n\nrun {run.id}"))
    return decision


def _lay_results(tree: Path, before: RunRecord) -> None:
    """Put what an earlier run made into the workspace: the lock, by which DVC brings the rest, and what git holds."""
    (tree / paths.LOCK).write_text(kept_lock(before), encoding="utf-8")
    for path in (paths.METRICS, paths.VERDICT):
        if text := before.commit and git(tree, "show", f"{before.commit}:./{path}"):
            with replacing(tree / path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def _bring_up_to_date(run: Run, tree: Path, status: dict[str, Any] | None = None, *, force: bool) -> None:
    """Run the graph stage by stage; the record says how each ended. `status` as `bring_data` gives it."""
    graph, known = read_graph(tree), why_all(tree, status)
    progress = Progress("retrain-progress", [stage.name for stage in graph])
    edited = [path for path in sources(tree) if path in known]
    commit_sources(edited, tree)
    moved = {path.removesuffix(".dvc") for path in edited}  # what later stages must look at again
    for stage in graph:
        progress.begin(stage.name)
        reasons = None if moved & set(stage.deps) else known.get(stage.name, [])
        state = _run_stage(run, tree, stage.name, reasons, force, progress)
        if state.message != NOTHING:
            moved |= set(stage.outs)
    progress.end("all stages are up to date")


def _run_stage(
    run: Run, tree: Path, name: str, reasons: list[str] | None, force: bool, progress: Progress
) -> State[Any]:
    began, told = time.monotonic(), {"ended": "Failed", "why": ""}
    try:
        state: State[Any] = run_stage(name, tree, reasons, force=force, line=progress.line, return_state=True)
        state.result()
        told = {"ended": str(state.name), "why": state.message or ""}
    except StageFailed as failed:
        _name_failure(run, tree, name, failed)
        raise
    finally:
        seconds = round(time.monotonic() - began, 1)
        run.note(stages=run.record.stages | {name: {**told, "seconds": seconds}})
    return state


def _name_failure(run: Run, tree: Path, stage: str, failed: StageFailed) -> None:
    if stage != "validate" or failed.exit_code != REFUSED:
        run.name_it(f"failed: {stage}")
        return
    report_refusal(tree)
    try:
        count = read_judgement(tree).flagged_samples("critical")
        run.name_it(f"refused: {count} sample{'s' * (count != 1)}" if count else "refused")
    except RoadsegError:  # the verdict itself is gone
        run.name_it("refused")


def _keep(run: Run, commit: Callable[[str], Committed]) -> None:
    """Commit to the run's branch; a fault of git costs the next run a look into DVC's cache, and no training."""
    try:
        done = commit(branch_name(run.record.deployment, run.id, run.record.started))
        run.note(commit=done.commit, branch=done.branch)
        run.warn(done.problem)
    except RoadsegError as error:
        run.note(commit="")
        run.warn(f"results: {error}")


def _say_why(run: Run, changes: Changes, notes: tuple[str, ...]) -> None:
    run.note(changes=changes.lines())
    for line in (changes.sentence(), *notes):
        get_run_logger().info("%s", line)
    show_why(changes.lines(), notes)


def _data(tree: Path) -> str:
    there = tree / paths.RAW_DVC
    return raw_md5(there.read_text(encoding="utf-8")) if there.exists() else ""

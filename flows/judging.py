"""The gate in a run that has no tree: what it reads comes from the served branch, from DVC's cache and from MLflow."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from flows.pages import link_decision
from flows.run import Run
from flows.steps import keep_decision
from flows.turn import waking
from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.gate.decision import Decision
from roadseg.workspace.lock import workspace_lock
from roadseg.workspace.plumbing import must
from roadseg.workspace.revision import find_revision

DAY = 86400.0  # seconds


def let_gate_decide(
    run: Run, options: Mapping[str, Any], approve: Callable[[Decision], bool | str] | None = None
) -> Decision:
    """Let the gate decide, by the policy of the served branch, and leave decision and page in the run's folder.

    Args:
        run: this one.
        options: of the deployment `promote`.
        approve: see `roadseg.registry.promote`.

    Raises:
        Held: a champion must be scored again, and another run works.
    """
    from roadseg.registry.promote import promote  # late: MLflow loads in seconds
    from roadseg.registry.versions import candidate_of
    from roadseg.tracking.store import connect

    number = options["version"] or candidate_of(connect())
    with val_tree(run, number) as tree, chdir(tree):
        decision = promote(
            options["version"],
            reason=options["reason"],
            requester=options["requester"],
            new_table=options["new_table"],
            approve=approve,
            deadline=time.time() + options["answer_days"] * DAY if run.deployed else None,  # else none can be asked
            alone=lambda: working_alone(run),
        )
        if decision.outcome != "CHAMPION ALREADY":
            keep_decision(run.folder)
    get_run_logger().info("%s", decision)
    if decision.outcome != "CHAMPION ALREADY":
        link_decision(run.folder, decision)
    return decision


@contextmanager
def val_tree(run: Run, version: int | None) -> Iterator[Path]:
    """A folder with the served branch's params.yaml and the val split of a version, as far as the cache has it."""
    from roadseg.registry.evidence.val_split import lay_val_split
    from roadseg.tracking.store import connect

    tree = run.folder / "val"
    shutil.rmtree(tree, ignore_errors=True)  # of a pass that was killed
    tree.mkdir()
    try:
        revision = find_revision(run.repository)
        params = must(run.repository, "show", f"{revision.commit}:./{paths.PARAMS}")
        (tree / paths.PARAMS).write_text(f"{params}\n", encoding="utf-8")
        if version:
            try:
                lay_val_split(connect(), version, run.repository, tree)
            except UsageError as error:  # the gate holds for want of it
                get_run_logger().warning("%s", error)
                run.note(problem=str(error))
        yield tree
    finally:
        shutil.rmtree(tree, ignore_errors=True)


@contextmanager
def working_alone(run: Run) -> Iterator[None]:
    """While no other run of this home trains or scores; those that wait look when it is over.

    Raises:
        Held: one does.
    """
    with waking(workspace_lock(run.holder)):
        yield

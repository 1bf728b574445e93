"""The deployment `reproduce`: rebuild a registered version and compare, while no other run trains here."""

from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.options import Group, Reason, Requester, WhenBusy, check
from flows.run import Run, ended, recorded
from flows.turn import in_the_way, working_alone, yield_to
from roadseg.contracts.errors import DONE, RoadsegError
from roadseg.workspace.lock import Held, present_holder

Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9:/@_-]+$", max_length=200)]


class ReproduceOptions(Group):
    """What `reproduce` can be told; the flow's signature has the same fields."""

    model: Model = "champion"
    keep: bool = False
    reason: Reason = ""
    when_busy: WhenBusy = "wait"
    requester: Requester = ""


@flow(name="reproduce", log_prints=True, validate_parameters=False)  # checked in the flow, in one line
def reproduce(
    model: Model = "champion",
    keep: bool = False,
    reason: Reason = "",
    when_busy: WhenBusy = "wait",
    requester: Requester = "",
) -> State[Any]:
    """Rebuild a version from its commit and data, every stage anew, and compare weights and scores.

    Nothing goes to MLflow. It fails where another result comes out on the same kind of processor.

    Args:
        model: champion, candidate, a version's number, or a models:/ URI.
        keep: Keep the tree and its home in the run's folder, to look at.
        reason: Why you start it; at most 500 characters.
        when_busy: What to do where another run works: wait (it starts by itself), skip, or replace (wait, and take the
            place of the runs of this deployment that wait).
        requester: Your name, which is recorded as the claim it is.
    """
    given = {"model": model, "keep": keep, "reason": reason, "when_busy": when_busy, "requester": requester}
    with recorded("reproduce", requester=str(requester)) as run:
        options = check(ReproduceOptions, given)
        run.note(reason=options.reason)
        if holder := present_holder():
            return yield_to(run, str(holder), options.when_busy)
        try:
            with working_alone(run):
                return _rebuild(run, options)
        except Held as held:
            return yield_to(run, in_the_way(held), options.when_busy)


def _rebuild(run: Run, options: ReproduceOptions) -> State[Any]:
    from roadseg.registry.rebuild.reproduce import rebuild  # late: MLflow loads in seconds

    run.name_it(f"rebuilds {options.model}", so_far=True)
    found = rebuild(options.model, run.folder / "rebuilt" if options.keep else None)
    said, equal = "\n".join(found.lines), not found.differences
    run.note(version=found.version, outcome="EQUAL" if equal else "DIFFERS", final=True)
    run.name_it(f"{'rebuilt equal' if equal else 'rebuilt, and differs:'} v{found.version}")
    try:
        lines = "\n".join(f"- `{line.strip()}`" for line in found.lines)
        create_markdown_artifact(lines, key="reproduce", description="What came out, beside what is registered")
    except Exception as error:
        get_run_logger().warning("the comparison is not shown: %s: %s", type(error).__name__, error)
    if found.exit_code != DONE:
        raise RoadsegError(said)
    return ended("Equal" if equal else "Differs", said)

"""The monitor flow: whether new pictures are still like those that the champion knows.

It needs no workspace; `roadseg drift` does the same in a person's own tree.
"""

import os
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.options import Group, Requester, check
from flows.run import Run, ended, recorded
from flows.tell import tell
from flows.turn import give_way
from roadseg.contracts.errors import UsageError
from roadseg.drift.limits import DISTANCE, LEVEL, MOST

FOUND = "roadseg.drift.found"
Folder = Annotated[str, Field(max_length=1000)]
Level = Annotated[float, Field(ge=0.0001, le=0.5)]
Distance = Annotated[float, Field(ge=0.0, le=1.0)]
Most = Annotated[int, Field(ge=1, le=1_000_000)]


class MonitorOptions(Group):
    """What `monitor` can be told; the flow's signature has the same fields, so that the form shows them one by one."""

    folder: Folder
    level: Level = LEVEL
    distance: Distance = DISTANCE
    most: Most = MOST
    requester: Requester = ""


@flow(name="monitor", log_prints=False, validate_parameters=False)  # checked in the flow, in one line
def monitor(
    folder: Folder,
    level: Level = LEVEL,
    distance: Distance = DISTANCE,
    most: Most = MOST,
    requester: Requester = "",
) -> State[Any]:
    """Compare a folder of new pictures with the champion's training data, and its answers with those on val.

    Ends Completed, named Drift or Quiet; or Held, where there is no champion, or its images are needed and away.

    Args:
        folder: new pictures, a folder for each drive, or frames that a server kept; an absolute path.
        level: probability of a false alarm in any figure (0.0001 to 0.5).
        distance: least distance between known and new that counts as drift (0 to 1).
        most: pictures to look at, spread evenly over the folder (at least 1).
        requester: who asks; kept in the run's record.
    """
    given = {"folder": folder, "level": level, "distance": distance, "most": most, "requester": requester}
    with recorded("monitor", requester=str(requester)) as run:
        options = check(MonitorOptions, given)
        if not Path(options.folder).is_absolute():
            raise UsageError(f"folder {options.folder}: give the whole path, from / on")
        return give_way(run) or _look(run, options)


def _look(run: Run, options: MonitorOptions) -> State[Any]:
    from roadseg.registry.drift import OutOfReach  # late: MLflow and Keras load in seconds

    try:
        version, finding = compare_pictures(run.repository, run.folder, options)
    except OutOfReach as missing:
        run.note(state="Held", outcome="held", problem=str(missing))
        run.name_it("held: nothing to compare with")
        tell("held", "monitor: nothing to compare with", reason=str(missing), link=run.record.url)
        return ended("Held", str(missing))
    name = "Drift" if finding["drifted"] else "Quiet"
    run.note(state=name, version=version, outcome=name.lower(), changes=[finding["sentence"]])
    run.name_it(f"drift: {', '.join(finding['drifted'])}" if finding["drifted"] else finding["sentence"])
    page = run.folder / "drift.html"
    _show(finding["sentence"], page)
    if finding["drifted"]:
        run.announce(
            FOUND,
            "roadseg.model.roadseg",
            version=version,
            folder=options.folder,
            figures=finding["drifted"],
            frames=finding["frames"],
            page=str(page),
            url=run.record.url,
        )
        tell("drift", f"monitor: version {version}", reason=finding["sentence"], link=run.record.url or str(page))
    return ended(name, finding["sentence"])


@task(task_run_name="compare")
def compare_pictures(repository: Path, out: Path, options: MonitorOptions) -> tuple[int, dict[str, Any]]:
    """Look at the pictures, and leave page and figures in a folder.

    Returns:
        The champion's version, and the finding as plain values.
    """
    from roadseg.drift.finding import write_finding
    from roadseg.pages.drift_page import write_drift_page
    from roadseg.registry.drift import at_hand, look_for_drift

    limits = {"level": options.level, "distance": options.distance}
    folder = Path(options.folder)
    seen = look_for_drift(folder, at_hand(repository), **limits, most=options.most)
    write_drift_page(out / "drift.html", seen, folder, pictures=os.environ.get("ROADSEG_PICTURES") != "off")
    write_finding(out / "drift.json", seen.finding)
    for fault in seen.finding.faults:
        get_run_logger().warning("%s", fault)
    return seen.version, seen.finding.to_json()


def _show(sentence: str, page: Path) -> None:
    try:
        create_markdown_artifact(f"{sentence}\n\nOn this machine: `{page}`", key="drift", description="New pictures")
    except Exception as error:
        get_run_logger().warning("what was found is not shown: %s: %s", type(error).__name__, error)

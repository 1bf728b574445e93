"""The label flows: pick a batch where enough has come together, and take one back into the versioned data.

`roadseg label pick` and `roadseg label import` do the same in a person's own tree.
"""

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.apart import run_apart
from flows.ingest import announce_change, version_and_push
from flows.options import Group, Requester, WhenBusy, check
from flows.run import Run, ended, recorded
from flows.tell import tell
from flows.turn import give_way, hold_workspace, in_the_way, skipped, yield_to
from roadseg.contracts import paths
from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import home
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.intake.inbox.report import Report
from roadseg.intake.places import forget_addition
from roadseg.labelling.batch import NAME, Batch, all_batches, open_batch
from roadseg.labelling.imported import is_told, remember_told
from roadseg.labelling.sources import TEST, NothingLeft, Source, find_source
from roadseg.workspace.data_branch import BRANCH
from roadseg.workspace.revision import find_revision
from roadseg.workspace.tree import bring_data

PICKED = "roadseg.labels.picked"
AT_LEAST = 200  # new pictures for which it is worth to call people
From = Annotated[str, Field(max_length=1000, pattern=r"^(|test|left-out|/.*)$")]
Count = Annotated[int, Field(ge=1, le=100_000)]
Enough = Annotated[int, Field(ge=1, le=10_000_000)]
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Whole = Annotated[str, Field(max_length=1000, pattern=r"^/.*$")]


class LabelOptions(Group):
    """What `label` can be told; the flow's signature has the same fields, so that the form shows them one by one."""

    source: From = ""
    count: Count = 50
    split: Literal["train", "val"] = "train"
    at_least: Enough = AT_LEAST
    requester: Requester = ""


class LabelImportOptions(Group):
    """What `label-import` can be told, as `LabelOptions`."""

    batch: Name
    source: Whole
    partial: bool = False
    when_busy: WhenBusy = "wait"
    requester: Requester = ""


@flow(name="label", log_prints=False, validate_parameters=False)  # checked in the flow, in one line
def label(
    source: From = "",
    count: Count = 50,
    split: Literal["train", "val"] = "train",
    at_least: Enough = AT_LEAST,
    requester: Requester = "",
) -> State[Any]:
    """Pick the pictures that are most worth labelling, where enough new ones have come together, and tell people.

    Ends Completed, named Picked or Skipped, also where a batch of this source waits for its labels; or Held, where
    there is no champion.

    Args:
        source: test, left-out, or a whole path of a folder; empty for the frames that a server keeps in home.
        count: pictures to pick (1 to 100000).
        split: train or val, that the drives get when they are imported.
        at_least: pictures that no batch has yet, under which nothing is picked (at least 1).
        requester: who asks; kept in the run's record.
    """
    given = {"source": source, "count": count, "split": split, "at_least": at_least, "requester": requester}
    with recorded("label", requester=str(requester)) as run:
        options = check(LabelOptions, given)
        if (instead := give_way(run)) is not None:
            return instead
        folder = options.source or str(home() / "serving/kept")
        if not options.source and not Path(folder).is_dir():
            return skipped(run, f"no kept frames: `roadseg serve --keep {folder}` keeps some, or set source")
        tree, manifest = _tree(run.repository)
        try:
            found = find_source(folder, tree, manifest)
        except UsageError as nothing:
            return skipped(run, str(nothing))
        if waiting := waits_for_labels(found.name):
            return skipped(run, waiting)
        if (fresh := unpicked(found)) < options.at_least:
            return skipped(run, f"{fresh} new pictures in {found.name}, picked from {options.at_least} on")
        try:
            return _pick(run, found, tree, manifest, options)
        except NothingLeft as nothing:
            return skipped(run, str(nothing), "nothing new is left to pick")


def _tree(repository: Path) -> tuple[Path, Manifest]:
    """A checkout that has data: the person's, else the workspace."""
    from roadseg.registry.drift import at_hand  # late: MLflow loads in seconds

    there = [tree for tree in at_hand(repository) if (tree / paths.MANIFEST).exists()]
    if not there:
        raise UsageError(f"neither {repository} nor the workspace in home has data: run `dvc repro` or retrain once")
    return there[0], read_manifest(there[0] / paths.MANIFEST)


def waits_for_labels(source: str) -> str:
    """A sentence on the first batch of a source that nobody has imported, so that no hour picks another; or empty."""
    for batch in all_batches():
        if batch.source == source and batch.imported is None:
            count = len(batch.picks)
            return f"batch {batch.name} of {count} pictures waits for labels: import it, or delete {batch.folder}"
    return ""


def unpicked(source: Source) -> int:
    """How many pictures of a source no batch of it has, by their names: nothing is read."""
    picked = {pick.frame for batch in all_batches() if batch.source == source.name for pick in batch.picks}
    return sum(frame.name not in picked for frame in source.frames)


def _pick(run: Run, source: Source, tree: Path, manifest: Manifest, options: LabelOptions) -> State[Any]:
    made = pick_pictures(source, tree, manifest, options)
    if made is None:
        missing = "there is no champion to pick with: `roadseg promote` a version first"
        run.note(state="Held", outcome="held", problem=missing)
        run.name_it("held: no champion")
        tell("held", "label: no champion", reason=missing, link=run.record.url)
        return ended("Held", missing)
    batch, notes = made
    page = batch.page
    where = "the test split" if batch.source == TEST else batch.source
    said = f"{len(batch.picks)} of {batch.looked} pictures of {where}"
    run.note(state="Picked", outcome="picked", changes=[said, *notes])
    run.name_it(f"picked {batch.name}: {said}")
    run.announce(PICKED, f"roadseg.labels.{batch.name}", batch=batch.name, pictures=len(batch.picks), page=str(page))
    next_ = f"`roadseg label export {batch.name} --to cvat`"
    tell("picked", f"batch {batch.name}", reason=f"{said}; next: {next_}", link=run.record.url or str(page))
    _show(f"{said}\n\nNext: {next_}\n\nOn this machine: `{page}`")
    return ended("Picked", said)


@task(task_run_name="pick")
def pick_pictures(
    source: Source, tree: Path, manifest: Manifest, options: LabelOptions
) -> tuple[Batch, list[str]] | None:
    """Pick with the champion; the batch and sentences; None where there is no champion."""
    from roadseg.contracts.bundle import Bundle
    from roadseg.labelling.embedding import Embedder
    from roadseg.labelling.pick import Wanted, pick_batch
    from roadseg.pages.picks_page import write_picks_page
    from roadseg.pipeline.settings import read_settings
    from roadseg.predict.predictor import Predictor
    from roadseg.registry.champion import fetch_champion

    champion = fetch_champion()
    if champion is None:
        return None
    bundle = Bundle.open(champion.bundle)
    bits = int(read_settings(tree / paths.PARAMS)["validate"]["near_duplicate"])
    wanted = Wanted(options.count, "mixed", options.split, "", champion.name, bits)
    predictor = Predictor(bundle, batch="auto", precision="auto")
    page = partial(write_picks_page, pictures=os.environ.get("ROADSEG_PICTURES") != "off")
    return pick_batch(source, tree, manifest, predictor, Embedder(bundle), wanted, page=page)


@flow(name="label-import", log_prints=False, validate_parameters=False)  # checked in the flow, in one line
def label_import(
    batch: Name, source: Whole, partial: bool = False, when_busy: WhenBusy = "wait", requester: Requester = ""
) -> State[Any]:
    """Take corrected masks of a batch into the data of branch roadseg/data, push them, and start retrain by an event.

    Args:
        batch: Name of the batch, as `label pick` gave it.
        source: what the tool exported, a whole path: an archive, a folder, or Label Studio's JSON.
        partial: take what is finished where not all is.
        when_busy: What to do where another run works: wait (it starts by itself), skip, or replace (wait, and take the
            place of the runs of this deployment that wait).
        requester: who asks; kept in the run's record.
    """
    given = {"batch": batch, "source": source, "partial": partial, "when_busy": when_busy, "requester": requester}
    with recorded("label-import", requester=str(requester)) as run:
        options = check(LabelImportOptions, given)
        open_batch(options.batch)
        if (instead := give_way(run)) is not None:
            return instead
        revision = find_revision(run.repository)
        run.note(revision=revision.name, base=revision.commit)
        try:
            with hold_workspace(run, revision.commit) as tree:
                return _import(run, options, tree)
        except Busy as busy:
            return yield_to(run, in_the_way(busy), options.when_busy)


def _import(run: Run, options: LabelImportOptions, tree: Path) -> State[Any]:
    forget_addition(tree)  # of an import that was killed: the export is still where it was
    bring_data(tree)
    told = judge_and_take(options, tree)
    drives = [f"{split}/{drive}" for drive, split in sorted(told["drives"].items())]
    committed = version_and_push(run.repository, tree, Report(new=told["new"], drives=drives))
    batch = open_batch(options.batch)
    if told["new"] or not is_told(batch):  # not told: a run that was killed has done all else
        announce_change(run, tree, committed, drives)
        remember_told(batch)
    run.note(commit=committed.commit, branch=BRANCH)
    run.warn(committed.problem)
    share = told["changed"] / max(1, told["pixels"])
    said = f"batch {options.batch}: {told['pictures']} pictures labelled, people changed {share:.1%} of the pixels"
    run.note(state="Taken", outcome="taken", changes=[said, *drives])
    run.name_it(said)
    _show(said)
    return ended("Taken", said)


@task(task_run_name="judge and take")
def judge_and_take(options: LabelImportOptions, tree: Path) -> dict[str, Any]:
    """Judge what came back beside the present data and add it to data/raw of the workspace.

    Raises:
        DataRefused: something in it cannot enter; nothing has changed.
        Busy: another import is at work.
    """
    arguments = [options.batch, options.source, "partial" if options.partial else "whole"]
    return run_apart(tree, "roadseg.labelling", arguments, "labels-taken")


def _show(text: str) -> None:
    try:
        create_markdown_artifact(text, key="labels", description="What to label, and what was")
    except Exception as error:
        get_run_logger().warning("what was done is not shown: %s: %s", type(error).__name__, error)

"""From MLflow and the tree to what the gate must know of candidate and champion."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, scoring_code
from roadseg.contracts.files import home
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.gate.decision import LeftOut
from roadseg.gate.evidence import Evidence
from roadseg.gate.leakage import find_leaks
from roadseg.gate.settings import compared_settings, key_of
from roadseg.pipeline.settings import read_settings
from roadseg.registry.evidence.query import LOG, Answered, query
from roadseg.registry.evidence.rescore import Alone, score_again
from roadseg.registry.evidence.stored import Stored, training_samples

COLUMNS = ["sample", "image", "mask", "dataset", "drive", "split", "image_sha", "mask_sha", "phash", "coding"]


@dataclass(frozen=True)
class Gathered:
    """Everything that a decision rests on.

    Attributes:
        candidate: the version to judge.
        champion: the one that stands; None where there is none.
        left_out: drives that must not decide.
        faults: why the candidate is not fit to serve; none where it answered as it was evaluated.
    """

    candidate: Evidence
    champion: Evidence | None
    left_out: tuple[LeftOut, ...] = ()
    faults: tuple[str, ...] = ()


def gather(
    client: MlflowClient, version: int, champion: int | None, *, send: bool = True, alone: Alone = nullcontext
) -> Gathered:
    """Fetch, look up or make what the gate must know; the tree in the current directory has the val images.

    Args:
        client: of the store.
        version: of the candidate.
        champion: version of the champion; None where there is none.
        send: leave new scores of the champion in MLflow.
        alone: held while a model is scored again; what it raises comes through.

    Raises:
        UsageError: there is no such version. Whatever else is missing is evidence, and the gate holds.
    """
    ours = Stored.find(client, version)
    if champion == version:
        return Gathered(Evidence(version, None), Evidence(version, None))
    theirs = Stored.find(client, champion) if champion else None
    candidate, manifest = _of_candidate(ours)
    if candidate.evaluation is None or manifest is None:
        return Gathered(candidate, Evidence(champion, None) if champion else None)
    found = Gathered(candidate, None)
    if theirs:
        again = partial(score_again, client, manifest=manifest, settings=candidate.settings, send=send, alone=alone)
        found = Gathered(*_comparable(candidate, ours, theirs, again))
    return _asked(_leaks(client, found, ours, theirs, manifest), ours, theirs)


def _of_candidate(stored: Stored) -> tuple[Evidence, Manifest | None]:
    """Its evidence, and the val split in this tree where that is the one it was evaluated on."""
    try:
        if stored.older or stored.evaluation.settings is None:
            raise UsageError(
                f"version {stored.version} was evaluated by an earlier version of roadseg: evaluate, publish and "
                "register that model again"
            )
        evaluation = stored.evaluation
        manifest = read_manifest(paths.MANIFEST, columns=COLUMNS)
        if evaluation.val_manifest != manifest.digest("val"):
            raise UsageError(
                f"{paths.MANIFEST} has the val split {manifest.digest('val')[:12]}, and version {stored.version} was "
                f"evaluated on {str(evaluation.val_manifest)[:12]}: check out its commit "
                f"{stored.tags.get('git.commit', '')[:12]} and `dvc pull`, or evaluate and register it anew"
            )
        _refuse_absent(manifest)
        return _evidence(stored, evaluation), manifest
    except UsageError as error:
        return Evidence(stored.version, None, missing=(str(error),)), None


def _refuse_absent(manifest: Manifest) -> None:
    rows = manifest.records("val")
    absent = [path for row in rows for path in (row["image"], row["mask"]) if not (paths.RAW / path).is_file()]
    if absent:
        raise UsageError(
            f"{paths.RAW / absent[0]} and {len(absent) - 1} more files of val are missing, and no model can be asked "
            "or scored without them: `dvc pull data/raw.dvc`, or `dvc checkout`"
        )


def _evidence(stored: Stored, evaluation: Evaluation) -> Evidence:
    settings = compared_settings(evaluation)
    key = key_of(stored.bundle, str(evaluation.val_manifest), settings, evaluation.scoring)
    return Evidence(stored.version, evaluation, settings, key, stored.model_bytes, classes=stored.bundle.classes)


def _comparable(
    candidate: Evidence, ours: Stored, theirs: Stored, again: Callable[[Stored], Evaluation]
) -> tuple[Evidence, Evidence]:
    """Both on the candidate's val split, with its settings and by one code: as they are stored where that fits."""
    assert candidate.evaluation
    try:
        if theirs.bundle.classes != candidate.table:
            return candidate, Evidence(theirs.version, None, classes=theirs.bundle.classes)
        if theirs.registered and not theirs.older and _fits(theirs.evaluation, candidate.evaluation):
            return candidate, _evidence(theirs, theirs.evaluation)
        champion = _evidence(theirs, again(theirs))
    except UsageError as error:
        said = f"champion {theirs.version} has no score on the candidate's val split: {error}"
        return candidate, Evidence(theirs.version, None, missing=(said,))
    if candidate.evaluation.scoring == scoring_code():
        return candidate, champion
    try:
        return _evidence(ours, again(ours)), champion
    except UsageError as error:
        said = f"version {ours.version} was evaluated by other code than this: {error}"
        return replace(candidate, missing=(*candidate.missing, said)), champion


def _fits(known: Evaluation, wanted: Evaluation) -> bool:
    """Whether an evaluation can be compared with another: of the same val split, by the same settings and code."""
    same = known.val_manifest == wanted.val_manifest and known.scoring == wanted.scoring is not None
    return same and compared_settings(known) == compared_settings(wanted)


def _leaks(client: MlflowClient, found: Gathered, ours: Stored, theirs: Stored | None, manifest: Manifest) -> Gathered:
    """With the drives that either model, or an ancestor of it, has seen in training."""
    near = read_settings(paths.PARAMS).get("validate", {}).get("near_duplicate", 0)
    training, unknown = training_samples(client, ours)
    if unknown:
        said = (
            f"what ancestor {unknown[0][:12]} of version {ours.version} was trained on is not in MLflow, so nobody "
            "knows which val images it has seen: publish that training"
        )
        found = replace(found, candidate=replace(found.candidate, missing=(*found.candidate.missing, said)))
    if theirs and found.champion and found.champion.evaluation:
        training |= training_samples(client, theirs)[0]  # what is not known of it vetoes no candidate for ever
    val = manifest.rows.filter([split == "val" for split in manifest.rows["split"].to_pylist()])
    return replace(found, left_out=find_leaks(val, training, near))


def _asked(found: Gathered, ours: Stored, theirs: Stored | None) -> Gathered:
    """With how the candidate answers, and the time that both take."""
    other = theirs.bundle.folder if theirs and found.champion and found.champion.evaluation else None
    answered = query(ours.bundle.folder, home() / "reuse/evaluations" / ours.tags["evaluation"], other)
    if answered is None:
        said = f"version {ours.version} gave no answer when it was loaded and asked: see {home() / LOG}"
        return replace(found, candidate=replace(found.candidate, missing=(*found.candidate.missing, said)))
    if answered.faults:
        shutil.rmtree(ours.bundle.folder)  # it may be this copy alone that is damaged: the next call fetches anew
    return _timed(replace(found, faults=tuple(answered.faults)), answered)


def _timed(found: Gathered, answered: Answered) -> Gathered:
    champion = found.champion and replace(found.champion, seconds=answered.beside)
    return replace(found, candidate=replace(found.candidate, seconds=answered.seconds), champion=champion)

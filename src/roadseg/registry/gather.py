"""From MLflow and the tree to what the gate must know of candidate and champion."""

from dataclasses import dataclass, replace

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation
from roadseg.contracts.files import home
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.pipeline.settings import read_settings
from roadseg.registry.decision import LeftOut
from roadseg.registry.evidence import Evidence
from roadseg.registry.leakage import find_leaks
from roadseg.registry.query import LOG, Answered, query
from roadseg.registry.rescore import score_again
from roadseg.registry.scoring import scoring_key, settings_of
from roadseg.registry.stored import Stored, training_samples

COLUMNS = ["sample", "image", "mask", "drive", "split", "image_sha", "mask_sha", "phash", "coding"]


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


def gather(client: MlflowClient, version: int, champion: int | None, *, send: bool = True) -> Gathered:
    """Fetch, look up or make what the gate must know; the tree in the current directory has the val images.

    Args:
        client: of the store.
        version: of the candidate.
        champion: version of the champion; None where there is none.
        send: leave new scores of the champion in MLflow.

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
        found = replace(found, champion=_of_champion(client, theirs, candidate, manifest, send))
    return _asked(_leaks(client, found, ours, theirs, manifest), ours, theirs)


def _of_candidate(stored: Stored) -> tuple[Evidence, Manifest | None]:
    """Its evidence, and the val split in this tree where that is the one it was evaluated on."""
    try:
        if stored.older:
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


def _evidence(stored: Stored, evaluation: Evaluation, key: str | None = None) -> Evidence:
    settings = settings_of(evaluation)
    key = key or scoring_key(stored.bundle.card["weights"], str(evaluation.val_manifest), settings)
    return Evidence(stored.version, evaluation, settings, key, stored.bundle_bytes, classes=stored.bundle.classes)


def _of_champion(client: MlflowClient, stored: Stored, candidate: Evidence, manifest: Manifest, send: bool) -> Evidence:
    """The champion's evidence on the candidate's val split: its own where that fits, else scored again."""
    try:
        bundle = stored.bundle
        if bundle.classes != candidate.table:
            return Evidence(stored.version, None, classes=bundle.classes)
        if stored.registered and not stored.older:
            known = _evidence(stored, stored.evaluation)
            assert candidate.evaluation
            same_val = stored.evaluation.val_manifest == candidate.evaluation.val_manifest
            if same_val and known.settings == candidate.settings:
                return known
        evaluation, key = score_again(client, stored, manifest, candidate.settings, send=send)
        return _evidence(stored, evaluation, key)
    except UsageError as error:
        said = f"champion {stored.version} has no score on the candidate's val split: {error}"
        return Evidence(stored.version, None, missing=(said,))


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
    return _timed(replace(found, faults=tuple(answered.faults)), answered)


def _timed(found: Gathered, answered: Answered) -> Gathered:
    champion = found.champion and replace(found.champion, seconds=answered.beside)
    return replace(found, candidate=replace(found.candidate, seconds=answered.seconds), champion=champion)

"""Whether the files of a tree are of one training on one set of data."""

from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import read_evaluation
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import Manifest


def check_belonging(tree: Path, bundle: Bundle, manifest: Manifest) -> None:
    """Refuse files that do not belong together, by the digests that they say of one another.

    A file of an older schema says fewer, and shards may not have been pulled: what is not known is not compared.

    Args:
        tree: a checkout.
        bundle: its models/bundle.
        manifest: its data/manifest.parquet.

    Raises:
        UsageError: names the two files, their digests and what to run.
    """
    evaluation = read_evaluation(tree / paths.EVALUATION)
    card, shards = paths.BUNDLE / "card.json", paths.SHARDS / "shards.json"
    said = [
        (paths.HISTORY, _digest(tree / paths.HISTORY), bundle.history, card),
        (shards, _digest(tree / shards), bundle.card.get("data"), card),
        (paths.EVALUATION, evaluation.weights, bundle.card["weights"], card),
        (paths.EVALUATION, evaluation.val_manifest, manifest.digest("val"), paths.MANIFEST),
    ]
    for name, found, wanted, other in said:
        if None not in (found, wanted) and found != wanted:
            raise UsageError(
                f"{name} does not belong to {other}: digest {str(found)[:12]} where {str(wanted)[:12]} belongs; "
                "run `dvc repro`, or `dvc checkout` where dvc.lock is right"
            )


def _digest(path: Path) -> str | None:
    return digest_file(path) if path.exists() else None

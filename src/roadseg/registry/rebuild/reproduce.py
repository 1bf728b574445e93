"""Rebuild a registered version from what is stored of it, and say whether the same comes out."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import mlflow
from mlflow import MlflowClient, MlflowException

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file, home, replacing
from roadseg.contracts.weights import ENCODER, NAME
from roadseg.pipeline.dvc import WAITING, dvc_environment
from roadseg.pipeline.process import stream
from roadseg.registry.rebuild.compare import Comparison, compare_rebuilt
from roadseg.registry.rebuild.recorded import Recorded, fetch_recorded, find_version
from roadseg.registry.rebuild.tree import bring_old_data, check_origin, check_out, forget_tree
from roadseg.tracking.store import connect, find_runs

# Every stage shall really run. --force: DVC's run cache would else restore what the registered training left, and the
# comparison would be of a file with itself. --no-commit: what comes out goes into no cache that others restore from.
REPRO = ("repro", "--force", "--no-commit")


def rebuild(model: str, into: Path | None = None) -> Comparison:
    """Rebuild a version in a folder of its own and compare.

    Args:
        model: see `find_version`.
        into: where the tree and its home shall be, kept afterwards; None: a temporary folder, removed afterwards.

    Raises:
        UsageError: there is no such version, or it cannot be rebuilt; says what is missing.
    """
    if into is not None and into.exists() and any(into.iterdir()):
        raise UsageError(f"{into} is not empty: give a folder that is, or does not exist")
    repository, client = Path.cwd(), connect()
    version = find_version(client, model)
    folder = Path(tempfile.mkdtemp(prefix="roadseg-reproduce-")) if into is None else into.absolute()
    try:
        recorded = fetch_recorded(client, version, folder / "recorded")
        try:
            tree = prepare(client, recorded, repository, folder)
            run_graph(tree, folder / "home", recorded.bundle)
        except UsageError as error:
            raise UsageError(f"version {version} cannot be rebuilt: {error}") from None
        return compare_rebuilt(recorded, tree)
    finally:
        if into is None:
            forget_tree(repository, folder / "tree")
            shutil.rmtree(folder, ignore_errors=True)


def prepare(client: MlflowClient, recorded: Recorded, repository: Path, folder: Path) -> Path:
    """Bring together what the graph needs; returns the folder that holds dvc.yaml.

    Raises:
        UsageError: says what is missing.
    """
    check_versions(recorded.bundle)
    said = f"commit {recorded.origin.commit[:12]}, changes that were not committed: {recorded.origin.kept}"
    print(f"reproduce: version {recorded.version}, {said}, in {folder}", flush=True)
    tree = check_out(repository, recorded.origin, folder / "tree")
    check_origin(tree, recorded.origin)
    bring_old_data(repository, tree)
    bring_parent(client, recorded.bundle, folder / "home")
    return tree


def check_versions(bundle: Bundle) -> None:
    """Refuse to rebuild with other libraries: that would be another training.

    Raises:
        UsageError: names those of the version and those that are installed.
    """
    known = asdict(bundle.surroundings)
    names = {"tensorflow": ("tensorflow-cpu", "tensorflow")}.get(known["backend"], (known["backend"],))
    for version, distributions in ((known["keras"], ("keras",)), (known["backend_version"], names)):
        if version is None:
            continue  # a card of an earlier schema does not say it
        found = next((each for name in distributions if (each := _installed(name))), "none")
        if found != version.split(" with ")[0].split("+")[0]:
            raise UsageError(
                f"it was trained with {distributions[-1]} {version}, and {found} is installed: run it where the "
                "requirements of its commit are (`make setup` in a checkout of it)"
            )


def _installed(name: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def bring_parent(client: MlflowClient, bundle: Bundle, target: Path) -> None:
    """Put the weights that the training started from into a home, from this one or from the parent's run.

    Raises:
        UsageError: they are in neither.
    """
    digest = str(bundle.card["params"].get("init", "none"))
    if digest == "none":
        return
    name, parent = f"reuse/weights/{digest}.npz", str(bundle.card.get("parent"))
    for found in _weights(client, name, parent):
        if found.is_file() and digest_file(found) == digest:
            with replacing(target / name) as temporary:
                shutil.copyfile(found, temporary)
            return
    if parent.startswith(ENCODER):
        remedy = f"roadseg models pretrained {parent.removeprefix(ENCODER)}"
        raise UsageError(f"the weights {digest[:12]} that it started from are not in {home()}: run `{remedy}`")
    raise UsageError(
        f"the weights {digest[:12]} that it started from are neither in {home()} nor with a run of the training "
        f"{parent} in MLflow"
    )


def _weights(client: MlflowClient, name: str, parent: str) -> Iterator[Path]:
    yield home() / name
    for run in find_runs(client, parent):
        with suppress(MlflowException, OSError):
            yield Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=f"bundle/{NAME}"))


def run_graph(tree: Path, own_home: Path, bundle: Bundle) -> None:
    """Run every stage, its lines shown as they come.

    The home is the tree's own: in the user's, train would go on from the checkpoint of the very training that is to be
    rebuilt, which is its end, and preprocess would take over its shards. Nothing goes to MLflow.

    Raises:
        UsageError: a stage failed.
    """
    settings = {
        "ROADSEG_HOME": str(own_home),
        "DVC_SITE_CACHE_DIR": str(own_home / "dvc"),
        "ROADSEG_FOLLOW": "off",
        "ROADSEG_PAGES": "off",
        "KERAS_BACKEND": str(bundle.surroundings.backend or os.environ.get("KERAS_BACKEND") or "tensorflow"),
    }
    (own_home / "dvc").mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = dvc_environment(settings)
    for name in ("ROADSEG_RECEIPT", "DVC_ROOT", "ROADSEG_FAILPOINT"):
        environment.pop(name, None)
    command = [sys.executable, *WAITING[1:], *REPRO]
    code = stream(command, cwd=tree, env=environment, line=lambda said: print(said, flush=True))
    if code or not (tree / paths.METRICS).exists():
        raise UsageError(f"`dvc repro` ended with {code} in {tree}: the lines above say why")

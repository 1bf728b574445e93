"""Where artifacts lie: `mlflow-artifacts:/...` for both doors, so that what one writes the other reads.

A server maps the scheme to its `--artifacts-destination`; without one, this maps it to the folder beside the database.
MLflow finds it by the entry point `mlflow.artifact_repository` in pyproject.toml.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import get_tracking_uri  # `mlflow` is still being imported itself

from roadseg.contracts.files import home

LOCATION = "mlflow-artifacts:/roadseg"  # of our experiments


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """MLflow's own repository where a server is asked, else a folder."""
    tracking = tracking_uri or get_tracking_uri()
    if urlsplit(tracking).scheme in {"http", "https"}:
        return MlflowArtifactsRepository(artifact_uri, tracking, registry_uri)
    return LocalArtifactRepository(place(artifact_uri, tracking).as_uri(), tracking, registry_uri)


def place(artifact_uri: str, tracking_uri: str) -> Path:
    """Where an artifact lies on this machine, where no server is asked.

    Args:
        artifact_uri: `mlflow-artifacts:/...`
        tracking_uri: of a database; SQLite's has artifacts in its own folder, others in home.
    """
    database = tracking_uri.removeprefix("sqlite:///")
    root = Path(database).absolute().parent if database != tracking_uri else home() / "mlflow"
    return root / "artifacts" / unquote(urlsplit(artifact_uri).path).lstrip("/")

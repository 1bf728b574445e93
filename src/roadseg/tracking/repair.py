"""Make an older home's database of MLflow say where artifacts lie without saying where home is."""

import sqlite3
from contextlib import closing
from pathlib import Path

COLUMNS = {  # in which MLflow keeps a location, by table
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "model_versions": "storage_location",
    "logged_models": "artifact_location",
}
FOLDER = "/mlflow/artifacts"  # of home


def repair(database: Path) -> int:
    """Replace `file://<any home>/mlflow/artifacts` by the scheme that every door maps to the home in use.

    Older versions wrote the absolute path, and a home that moved read nothing and wrote to the old place.

    Args:
        database: `mlflow/mlflow.db` of home; there may be none.

    Returns:
        How many locations were replaced.
    """
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=30)) as store, store:
        store.create_function("without_home", 1, without_home, deterministic=True)
        tables = {name for (name,) in store.execute("select name from sqlite_master where type = 'table'")}
        return sum(_replace(store, table, column) for table, column in COLUMNS.items() if table in tables)


def without_home(location: str) -> str:
    """A location in `mlflow/artifacts` of some home, as every door understands it; others stay."""
    _, found, below = location.rpartition(FOLDER)
    ours = location.startswith("file://") and found and below[:1] in ("", "/")
    return f"mlflow-artifacts:/{below.lstrip('/')}" if ours else location


def _replace(store: sqlite3.Connection, table: str, column: str) -> int:
    found = f"{column} like 'file://%' and {column} <> without_home({column})"
    if not store.execute(f"select exists (select 1 from {table} where {found})").fetchone()[0]:
        return 0  # asked first: a write waits for others that write
    return store.execute(f"update {table} set {column} = without_home({column}) where {found}").rowcount

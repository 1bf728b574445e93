"""What runs leave in home for people and for later runs: `flows/<run>.json`, without Prefect and without MLflow."""

import shutil
import time
from bisect import insort
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from operator import itemgetter
from pathlib import Path
from platform import python_version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file, home, read_json, replacing, write_json

SLACK = 1.0  # seconds that the clock of files may be behind that of processes
DECIDING = (  # packages whose versions may change a result
    *("dvc", "great-expectations", "jax", "keras", "numpy", "pandas", "pillow", "pyarrow", "scipy"),
    *("tensorflow", "tensorflow-cpu"),
)


class RunRecord(BaseModel):
    """One run of a deployment, or of `python -m flows...`, as it stands at its start and at every later step.

    Attributes:
        run: the flow run's id.
        deployment: retrain, ingest, promote, ...
        name: as people see it: "promoted v7 +0.012".
        state: Prefect's word for how it stands: Running, Completed, Skipped, Failed, Crashed, ...
        started, ended: seconds since the epoch; `ended` is None while it runs.
        reason: why somebody started it.
        requester: who did, as far as they said.
        revision: as it was asked for, or what that came to: "origin/main".
        base: the commit that was asked for, 40 hex.
        commit: the one with the results, or with the overrides where there are none; empty where no commit holds what
            the run worked on.
        branch: where the results are.
        data: md5 of data/raw, as raw.dvc has it.
        lock: sha256 of the tree's dvc.lock at the end, see `keep_lock`; empty where there was none.
        changes: lines about what changed since the last final run.
        stages: by name: `ended` (Ran, Cached, Failed), `why`, `seconds`.
        version: of the registered model.
        outcome: of the gate.
        decision: the gate's decision as plain values.
        final: whether nothing is left to decide until something changes.
        missing: whether the gate held for evidence that was missing, so that it is asked again.
        url: of the run's page in Prefect.
        problem: why it failed, or what did not work beside it.
        versions: of packages that may change a result.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a later version may write more

    run: str
    deployment: str = "retrain"
    name: str = ""
    state: str = "Running"
    started: float = Field(default_factory=time.time)
    ended: float | None = None
    reason: str = ""
    requester: str = ""
    revision: str = ""
    base: str = ""
    commit: str = ""
    branch: str = ""
    data: str = ""
    lock: str = ""
    changes: list[str] = []
    stages: dict[str, dict[str, Any]] = {}
    version: int | None = None
    outcome: str = ""
    decision: dict[str, Any] | None = None
    final: bool = False
    missing: bool = False
    url: str = ""
    problem: str = ""
    versions: dict[str, str] = {}


def records_folder() -> Path:
    """Where the records are; a run's decision and page lie in a folder of its id beside its record."""
    return home() / "flows"


def write_record(record: RunRecord) -> None:
    """Write a run's record, atomically; the one before is replaced."""
    write_json(records_folder() / f"{record.run}.json", "run", record.model_dump())


def read_records(most: int | None = None) -> list[RunRecord]:
    """Records of this home, or so many, the newest first; damaged ones are left out."""
    return list(islice(newest_first(), most))


def newest_first() -> Iterator[RunRecord]:
    """Records of this home, those that started last first; damaged ones are left out.

    No more files are read than are asked for: a run started before its record was written.
    """
    files = sorted(((_written(path), path) for path in records_folder().glob("*.json")), reverse=True)
    read: list[tuple[tuple[float, str], RunRecord]] = []  # the newest last
    for written, path in files:
        while read and read[-1][0][0] > written + SLACK:
            yield read.pop()[1]
        if record := _read(path):
            insort(read, ((record.started, record.run), record), key=itemgetter(0))
    yield from (record for _, record in reversed(read))


def read_record(run: str) -> RunRecord | None:
    """The record of a run by its whole id; None where there is none, or a damaged one."""
    return _read(records_folder() / f"{run}.json")


def delete_record(run: str) -> None:
    """Delete a run's record and its folder; the record last, so that a kill leaves no folder that nothing names."""
    folder = records_folder() / run
    if folder.is_dir():
        shutil.rmtree(folder)
    (records_folder() / f"{run}.json").unlink(missing_ok=True)


def find_record(run: str) -> RunRecord:
    """The record of a run by its id, the first characters of it, or its name.

    Raises:
        UsageError: there is none, or several.
    """
    found = [record for record in newest_first() if run and (record.run.startswith(run) or record.name == run)]
    found = [record for record in found if record.run == run] or found
    if not found:
        raise UsageError(f"no run {run!r} in {records_folder()}: `roadseg runs` lists them")
    if len(found) > 1:
        raise UsageError(f"{run!r} may be each of {', '.join(record.run for record in found[:5])}: give more of it")
    return found[0]


def last_final(deployment: str = "retrain") -> RunRecord | None:
    """The newest run that came to a decision: a final one, or one that only lacked evidence; None where there is none.

    What a new run would do is judged against it.
    """
    wanted = (record for record in newest_first() if record.deployment == deployment)
    return next((record for record in wanted if record.final or record.missing), None)


def keep_lock(run: str, tree: Path) -> str:
    """Keep a tree's dvc.lock beside a run's record, which outlives its branch; its sha256, see `RunRecord.lock`."""
    digest = digest_lock(tree)
    if digest:
        with replacing(records_folder() / run / paths.LOCK.name) as temporary:
            shutil.copyfile(tree / paths.LOCK, temporary)
    return digest


def kept_lock(record: RunRecord) -> str:
    """The text that `keep_lock` kept; empty where it did not."""
    path = records_folder() / record.run / paths.LOCK.name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def digest_lock(tree: Path) -> str:
    """Sha256 of a tree's dvc.lock; empty where there is none."""
    return digest_file(tree / paths.LOCK) if (tree / paths.LOCK).exists() else ""


def present_versions() -> dict[str, str]:
    """Versions of Python and of the packages that may change a result, as they are installed here."""
    found = {"python": python_version()}
    for package in DECIDING:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _written(path: Path) -> float:
    """When a file was written, seconds since the epoch; 0 where it has been deleted meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(path: Path) -> RunRecord | None:
    try:
        return RunRecord.model_validate(read_json(path, "run", "the flow again"))
    except (UsageError, ValidationError, OSError):
        return None

"""Files that are whole or absent, digests, and the home folder."""

import ctypes
import hashlib
import json
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadseg.contracts.errors import UsageError

CODE = {".py", ".csv"}  # IDD's label table decides how masks are read
VERSIONS = {"bundle": 2, "evaluation": 2}  # of schemas that have changed; files of the one before can be read
REPLACING = ("write", "fsync", "rename", "renamed", "done")  # failpoints of `replacing`, behind the file's name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success fsync it and rename it over `path`.

    A reader, also after a crash, sees the old file or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    failpoint(f"{path.name}:write")
    try:
        yield temporary
        failpoint(f"{path.name}:fsync")
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        failpoint(f"{path.name}:rename")
        temporary.replace(path)
        failpoint(f"{path.name}:renamed")
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    failpoint(f"{path.name}:done")


def failpoint(name: str) -> None:
    """Kill this process where `ROADSEG_FAILPOINT` is `name`: tests kill at exact places, random kills miss them."""
    if os.environ.get("ROADSEG_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)


def sync_disk(path: Path) -> None:
    """Put everything written to the disk that holds `path` on it: one wait where a thousand files would be a thousand.

    Source: syncfs(2); elsewhere sync(2).
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is None or syncfs(descriptor):
            os.sync()
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, name: str, content: dict[str, Any]) -> None:
    """Write `content` as schema `roadseg/<name>/<version>`: sorted keys, NaN as null, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(as_json(name, content), encoding="utf-8")


def as_json(name: str, content: dict[str, Any]) -> str:
    """The text that `write_json` writes."""
    schema = {"schema": schema_of(name)}
    return json.dumps(finite(schema | content), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path, name: str, remedy: str) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Args:
        path: the file.
        name: the schema's name without version.
        remedy: a command that writes the file anew, for the error message.

    Raises:
        UsageError: the file is absent, damaged or of another schema.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: run `{remedy}`") from None
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON ({error}): run `{remedy}`") from None
    check_schema(path, content.get("schema") if isinstance(content, dict) else None, name, remedy)
    return dict(content)


def check_schema(path: Path, found: str | None, name: str, remedy: str) -> None:
    """Refuse a file of another schema, or of a version that is neither the present one nor the one before.

    Raises:
        UsageError: says which was found and what to run.
    """
    before = VERSIONS.get(name, 1) - 1
    if found != schema_of(name) and (before < 1 or found != f"roadseg/{name}/{before}"):
        raise UsageError(f"{path} has schema {found!r}, not {schema_of(name)!r}: run `{remedy}`")


def schema_of(name: str) -> str:
    """What a file that is written now says of its schema."""
    return f"roadseg/{name}/{VERSIONS.get(name, 1)}"


def finite(value: Any) -> Any:
    """Plain values with null for NaN and infinity, which are no JSON."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def digest_file(path: Path) -> str:
    """Sha256 of a file's bytes, hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest_of(content: Any) -> str:
    """Sha256 of `content` as canonical JSON, hex."""
    return hashlib.sha256(json.dumps(finite(content), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def code_digests(*packages: str) -> dict[str, str]:
    """Digest every `.py` and `.csv` file of the named packages of roadseg, by path below `src`."""
    root = Path(__file__).parent.parent
    there = (path for package in packages for path in (root / package).rglob("*") if path.suffix in CODE)
    files = sorted(path for path in there if not path.name.startswith("."))  # what editors and systems leave
    return {path.relative_to(root.parent).as_posix(): digest_file(path) for path in files}


def home() -> Path:
    """Folder of the state that outlives a checkout, absolute.

    `ROADSEG_HOME`, else `.roadseg` of the working tree (of `DVC_ROOT` where DVC set it).
    """
    default = Path(os.environ.get("DVC_ROOT") or Path.cwd()) / ".roadseg"
    return Path(os.environ.get("ROADSEG_HOME") or default).absolute()

"""A bucket's prefix as an inbox: what lies there is mirrored into a folder in home, and the looks read that folder.

Only what is new or has changed is fetched. Nothing in the bucket is written, moved or deleted.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import digest_of, replacing
from roadseg.intake.inbox.options import Inbox

LONGEST = 255  # bytes of one part of a path on the usual file systems
WRONG = {"NoSuchBucket", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403", "404"}


@dataclass(frozen=True)
class Stored:
    """An object: its key, bytes, and a time in ns that differs whenever its content does."""

    key: str
    size: int
    time: int

    @classmethod
    def of(cls, entry: dict[str, Any]) -> "Stored":
        """Of an entry of a listing; a second may see two contents, so the tag that names the content counts too."""
        modified: datetime = entry["LastModified"]
        return cls(
            entry["Key"], entry["Size"], int(modified.timestamp()) * 10**9 + int(digest_of(entry["ETag"])[:7], 16)
        )


def mirror(inbox: Inbox) -> list[str]:
    """Bring the folder `inbox.path` to what lies below the prefix.

    Returns:
        Objects that have no place in a folder, as sentences.

    Raises:
        UsageError: no such bucket, no access to it, or no package that speaks S3.
        RoadsegError: the store does not answer, or the disk is full.
    """
    bucket, prefix = split(inbox.folder)
    root, notes = inbox.path, list[str]()
    root.mkdir(parents=True, exist_ok=True)
    with _explained(inbox.folder):
        client = _client()
        wanted = _placed(_listed(client, bucket, prefix), prefix, notes)
        _forget_others(root, set(wanted))
        for name, stored in sorted(wanted.items()):
            if not _is_there(root / name, stored):
                with replacing(root / name) as temporary:
                    client.download_file(bucket, stored.key, str(temporary))
                    os.utime(temporary, ns=(stored.time, stored.time))
    return notes


def split(address: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`; the prefix is empty or ends with a slash.

    Raises:
        UsageError: it names no bucket.
    """
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"{address} names no bucket: give s3://BUCKET/PREFIX")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _client() -> Any:
    try:
        import boto3  # late: few inboxes are buckets
        from botocore.config import Config
    except ImportError:
        raise UsageError("boto3 is missing, which speaks S3: install roadseg[team]") from None
    patience = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})
    return boto3.Session().client("s3", config=patience)  # the default one would keep keys that were changed


def _listed(client: Any, bucket: str, prefix: str) -> Iterator[Stored]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from map(Stored.of, page.get("Contents", []))


def _placed(listed: Iterator[Stored], prefix: str, notes: list[str]) -> dict[str, Stored]:
    """Objects by their path below the folder; those that can have none are named in `notes`."""
    found = dict[str, Stored]()
    for stored in listed:
        name = stored.key.removeprefix(prefix)
        if not name or name.endswith("/"):  # what some tools leave for an empty folder
            continue
        if _is_safe(name):
            found[name] = stored
        else:
            notes.append(f"{stored.key!r} is left alone: a folder can hold no file of that name")
    above = {str(folder) for name in found for folder in PurePosixPath(name).parents}
    doubled = [found.pop(name).key for name in sorted(above & found.keys())]
    notes += [f"{key!r} is left alone: other objects lie below its name" for key in doubled]
    return found


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return "\0" not in name and all(
        part not in ("", ".", "..") and len(os.fsencode(part)) <= LONGEST and "\\" not in part for part in parts
    )


def _is_there(path: Path, stored: Stored) -> bool:
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return path.is_file() and (facts.st_size, facts.st_mtime_ns) == (stored.size, stored.time)


def _forget_others(root: Path, wanted: set[str]) -> None:
    """Delete what the bucket no longer holds, and what a look that was killed had begun to fetch."""
    for folder, folders, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            if path.relative_to(root).as_posix() not in wanted:
                path.unlink()
        for name in folders:
            if not any(Path(folder, name).iterdir()):
                Path(folder, name).rmdir()


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Say what went wrong with a store in one line, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RoadsegError(
                f"{address} does not fit into home: {error.strerror}; free disk, then look again"
            ) from None
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("botocore", "boto3", "s3transfer"):
            raise
        code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
        kind = UsageError if code in WRONG or type(error).__name__ == "NoCredentialsError" else RoadsegError
        remedy = "check its name, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise kind(f"{address} cannot be read ({str(error).rstrip('.')}): {remedy}") from None

"""A bucket's prefix as an inbox: what lies there comes into the data, and stays where it is."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from buckets import BUCKET, client_of
from inboxes import put_drive
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from team_stack import PREFECT_LOGIN, Stack
from trees import commit, run
from typer.testing import CliRunner
from workspace_project import git

from flows import ingest as flow
from roadseg.cli.app import app
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.intake.inbox import bucket
from roadseg.intake.inbox.bucket import Stored, mirror, split
from roadseg.intake.inbox.deliveries import at_rest, deliveries
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.workspace.data_branch import BRANCH


@pytest.fixture
def prefix(stack: Stack, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of the test's own, and the variables by which the store is found."""
    for name, value in stack.environment("trainer").items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return f"{request.node.name[:40]}-{time.time_ns()}"


def at(prefix: str, **options: Any) -> Inbox:
    return Inbox(folder=f"s3://{BUCKET}/{prefix}", **{"quiet": 0.0, "patience": 0.0} | options)


def put(stack: Stack, prefix: str, **objects: bytes) -> None:
    store = client_of(stack.store)
    for name, content in objects.items():
        store.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=content)


def listed(stack: Stack, prefix: str) -> dict[str, str]:
    entries = client_of(stack.store).list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", [])
    return {entry["Key"].removeprefix(f"{prefix}/"): entry["ETag"] for entry in entries}


def mirrored(inbox: Inbox) -> dict[str, bytes]:
    found = (path for path in inbox.path.rglob("*") if path.is_file())
    return {path.relative_to(inbox.path).as_posix(): path.read_bytes() for path in found}


def test_the_mirror_follows_the_prefix_and_fetches_what_changed_alone(stack: Stack, prefix: str) -> None:
    inbox, first = at(prefix), {"monday.zip": b"1", "drive/a.png": b"2", "drive/b.png": b"3"}
    put(stack, prefix, **first)
    put(stack, f"{prefix}-beside", other=b"4")
    assert mirror(inbox) == []
    assert mirrored(inbox) == first
    before = {path: path.stat() for path in inbox.path.rglob("*.png")}
    put(stack, prefix, **{"monday.zip": b"9"})  # as long, perhaps in the same second
    client_of(stack.store).delete_object(Bucket=BUCKET, Key=f"{prefix}/drive/b.png")
    (inbox.path / "drive/.c.png.1.tmp").write_bytes(b"of a look that was killed")
    mirror(inbox)
    assert mirrored(inbox) == {"monday.zip": b"9", "drive/a.png": b"2"}
    kept = inbox.path / "drive/a.png"
    assert kept.stat().st_ino == before[kept].st_ino
    client_of(stack.store).delete_object(Bucket=BUCKET, Key=f"{prefix}/drive/a.png")
    mirror(inbox)
    assert [path.name for path in inbox.path.iterdir()] == ["monday.zip"]


def test_an_object_that_changes_is_a_delivery_that_has_not_come_to_rest(stack: Stack, prefix: str) -> None:
    inbox = at(prefix, quiet=5.0)
    put(stack, prefix, **{"monday/0_image.jpg": b"first"})
    with looking("test") as memory:
        assert at_rest(inbox, memory, now=lambda: 100.0) == ([], ["monday still changes: the next look takes it"])
        put(stack, prefix, **{"monday/0_image.jpg": b"other"})
        assert at_rest(inbox, memory, now=lambda: 106.0)[0] == []
        assert [one.name for one in at_rest(inbox, memory, now=lambda: 112.0)[0]] == ["monday"]


def test_keys_that_no_folder_can_hold_are_named_and_nothing_leaves_the_mirror(
    stack: Stack, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, prefix, **{"good": b"2", "both/under": b"1"})
    names = ["../up", "a//b", "/etc/passwd", "a/../b", "x" * 300, "both", "nul\0", "back\\slash", "folder/"]
    real = bucket._listed

    def as_other_stores_list(*where: Any) -> Iterator[Stored]:
        yield from real(*where)
        yield from (Stored(f"{prefix}/{name}", 1, 1) for name in names)  # this one refuses such keys

    monkeypatch.setattr(bucket, "_listed", as_other_stores_list)
    notes, inbox = mirror(at(prefix)), at(prefix)
    assert set(mirrored(inbox)) == {"good", "both/under"}
    assert len(notes) == len(names) - 1
    assert all("is left alone" in note for note in notes)
    assert deliveries(inbox)[1][: len(notes)] == notes


def test_what_cannot_be_read_is_said_in_a_line_with_what_to_do(
    stack: Stack, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"s3://absent/x cannot be read .*bucket.* check its name, AWS_ENDPOINT_URL"):
        mirror(Inbox(folder="s3://absent/x"))
    with pytest.raises(UsageError, match="names no bucket"):
        split("s3:///x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(UsageError, match="cannot be read"):
        mirror(at(prefix))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RoadsegError, match="cannot be read"):
        mirror(at(prefix))
    refused = CliRunner().invoke(app, ["data", "ingest", "s3://roadseg/x", "--move"])
    assert isinstance(refused.exception, UsageError)
    assert "nothing is moved" in str(refused.exception)


@pytest.mark.soak
def test_the_flow_takes_drives_from_a_bucket_versions_them_and_pushes_them_to_the_store(
    stack: Stack, prefix: str, imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))
    run(tree, "dvc", "remote", "add", "-q", "-d", "store", f"s3://{BUCKET}/{prefix}-dvc")
    commit(tree, "name a remote")
    monkeypatch.chdir(tree)
    put_drive(put_drive(tmp_path / "monday", "train/77", seed=77), "train/78", seed=78, bad=True)
    files = {path.relative_to(tmp_path).as_posix(): path for path in (tmp_path / "monday").rglob("*.*")}
    put(stack, prefix, **{name: path.read_bytes() for name, path in files.items()})
    before = listed(stack, prefix)

    with temporary_settings({PREFECT_API_URL: stack.prefect, PREFECT_API_AUTH_STRING: PREFECT_LOGIN}):
        taken = look(at(prefix))
        assert (taken.name, taken.is_completed()) == ("Taken", True), taken.message
        again = look(at(prefix))
    assert (again.name, again.message) == ("Skipped", f"nothing new in s3://{BUCKET}/{prefix}")
    assert listed(stack, prefix) == before
    assert git(tree, "log", "--format=%s", f"main..{BRANCH}") == "Take train/77"
    assert "ids outside idd-level1: 99" in next(at(prefix).refused.glob("*/reasons.txt")).read_text()

    other = tmp_path / "another machine"
    git(tmp_path, "clone", "-q", "-b", BRANCH, str(tree), str(other))
    run(other, "dvc", "pull", "-q", "data/raw.dvc")
    for name, path in files.items():
        if "/77/" in name:
            assert (other / "data/raw" / name.removeprefix("monday/")).read_bytes() == path.read_bytes()


def look(inbox: Inbox) -> State[Any]:
    state: State[Any] = flow.ingest(inbox, return_state=True)
    return state

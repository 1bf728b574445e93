"""The same code on a team's servers, told by variables alone: data and artifacts on S3, the rest on PostgreSQL.

The servers have real logins; the shell of a trainer and that of the gate's user differ in the login only.
"""

import os
import re
import shutil
from pathlib import Path

import buckets
import mlflow
import psutil
import psycopg
import pytest
from buckets import BUCKET, client_of
from mlflow import MlflowException
from postgres import PASSWORD as DATABASE_PASSWORD
from postgres import USER
from team_stack import PASSWORDS, PREFECT_LOGIN, Stack, client_as
from trees import commit, run

from roadseg.contracts.files import digest_file
from roadseg.registry.versions import CANDIDATE, CHAMPION, LEFT, MODEL, candidate_of, version_at
from roadseg.tracking.store import experiment_id

SIZES = (0, 1, 1000, 3_000_000, 20_000_000)  # bytes; the last goes in several parts


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each size, of bytes that no compression makes smaller."""
    folder = tmp_path_factory.mktemp("blobs")
    for size in SIZES:
        (folder / str(size)).write_bytes(os.urandom(size))
    return folder


def contents(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".gitignore")
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in found}


def test_a_store_gives_back_what_it_was_given_to_the_byte(stack: Stack, blobs: Path, tmp_path: Path) -> None:
    store = client_of(stack.store)
    for path in blobs.iterdir():
        store.upload_file(str(path), BUCKET, f"bytes/{path.name}")
        store.download_file(BUCKET, f"bytes/{path.name}", str(tmp_path / path.name))
    assert contents(tmp_path) == contents(blobs)


def test_artifacts_come_back_to_the_byte_to_a_trainer_who_has_no_key_of_the_store(
    stack: Stack, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_as(stack, "trainer", monkeypatch)
    made = client.create_run(experiment_id(client, "bytes"))
    client.log_artifacts(made.info.run_id, str(blobs), "blobs")
    mlflow.artifacts.download_artifacts(run_id=made.info.run_id, artifact_path="blobs", dst_path=str(tmp_path))
    assert contents(tmp_path / "blobs") == contents(blobs)
    stored = client_of(stack.store).list_objects_v2(Bucket=BUCKET, Prefix="mlflow/")["Contents"]
    assert {entry["Size"] for entry in stored} >= set(SIZES)


def test_a_trainer_s_version_becomes_champion_by_the_gate_and_data_come_back_elsewhere(
    stack: Stack, finished_checkout: Path, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, trainer, gate = finished_checkout, stack.environment("trainer"), stack.environment("gate")
    shutil.copytree(blobs, tree / "blobs")
    run(tree, "dvc", "remote", "add", "-q", "-d", "store", f"s3://{BUCKET}/dvc", **trainer)
    run(tree, "dvc", "add", "-q", "blobs", **trainer)
    commit(tree, "name a remote")
    run(tree, "dvc", "push", "-q", **trainer)

    said = run(tree, "roadseg", "register", **trainer).stdout
    found = re.search(r"registered as version (\d+)", said)  # tests beside this one register others
    assert found, said
    number = found[1]
    assert "candidate is left to the gate" in said
    client = client_as(stack, "trainer", monkeypatch)
    assert (version_at(client, CANDIDATE), LEFT in client.get_model_version(MODEL, number).tags) == (None, True)
    for alias in (CANDIDATE, CHAMPION):
        with pytest.raises(MlflowException, match="Permission denied"):
            client.set_registered_model_alias(MODEL, alias, number)
    with pytest.raises(MlflowException, match="Permission denied"):
        client.rename_registered_model(MODEL, "mine")

    other = tmp_path / "another machine"
    run(tmp_path, "git", "clone", "-q", str(tree), str(other))
    run(other, "dvc", "pull", "-q", **gate)
    for folder in ("blobs", "data/raw", "data/shards", "models/bundle", "reports/evaluation"):
        assert contents(other / folder) == contents(tree / folder), folder
    assert candidate_of(client, move=False) == int(number)
    said += (promoted := run(other, "roadseg", "promote", **gate).stdout)
    assert f"PROMOTE version {number}" in promoted
    assert (version_at(client, CANDIDATE), version_at(client, CHAMPION)) == (None, int(number))
    assert LEFT not in client.get_model_version(MODEL, number).tags
    assert leaks(stack, [tree / ".roadseg", other / ".roadseg", tree / "reports", other / "reports"], said) == []


def test_no_password_is_an_argument_of_a_server_or_in_its_log(stack: Stack) -> None:
    ours = [each for each in psutil.process_iter(["cwd", "cmdline"]) if str(each.info["cwd"]).startswith(stack.folder)]
    told = {str(each.pid): " ".join(each.info["cmdline"]) for each in ours}
    assert {word for word in ("mlflow server", "prefect server", "weed server") if word in " ".join(told.values())} == {
        "mlflow server", "prefect server", "weed server"
    }  # fmt: skip
    told |= {path.name: path.read_text(errors="replace") for path in Path(stack.folder).rglob("*log")}
    values = {*PASSWORDS.values(), PREFECT_LOGIN, buckets.SECRET, DATABASE_PASSWORD}
    assert [f"{place}: {value}" for place, text in told.items() for value in values if value in text] == []


def leaks(stack: Stack, folders: list[Path], said: str) -> list[str]:
    """Where a password or a key of the servers stands: in what was said, in files, artifacts, parameters and tags."""
    values = {*PASSWORDS.values(), PREFECT_LOGIN, buckets.SECRET, DATABASE_PASSWORD}
    texts: dict[str, bytes] = {"the console": said.encode()}
    texts |= {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}
    store = client_of(stack.store)
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="mlflow/"):
        for entry in page["Contents"]:
            if entry["Size"] < 5_000_000:
                texts[entry["Key"]] = store.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
    address = f"postgresql://{USER}:{DATABASE_PASSWORD}@127.0.0.1:{stack.postgres_port}/mlflow"
    with psycopg.connect(address) as database:
        for table in ("params", "tags", "experiment_tags", "model_version_tags", "registered_model_tags", "runs"):
            texts[table] = repr(database.execute(f"select * from {table}".encode()).fetchall()).encode()
    assert len(texts) > 30
    return [f"{place}: {value}" for place, text in texts.items() for value in values if value.encode() in text]

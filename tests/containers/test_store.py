"""The store as its container starts it: which of its sockets others reach, and what they answer without a login."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import grpc
import psutil
import pytest
from trees import ROOT

OTHERS = "127.0.0.2"  # stands for the address at which other containers see it
SECRETS = {f"STORE_{name}_SECRET": f"of-the-tests-only-{name}" for name in ("MLFLOW", "WORKER")}
PUT_IDENTITY = "/messaging_pb.SeaweedS3IamCache/PutIdentity"


def pairs() -> Iterator[int]:
    """Ports that are free, as is the one of each one's gRPC."""
    for port in range(20000 + os.getpid() % 1000 * 10, 55000):
        try:
            for each in (port, port + 10000):
                socket.create_server(("127.0.0.1", each)).close()
        except OSError:
            continue
        yield port


def script(folder: Path, **known: str) -> list[str]:
    """The command that starts it with folders of its own in the place of the container's."""
    known |= {"/tmp": str(folder), "/var/lib/roadseg": str(folder), "/etc/roadseg": str(folder)}
    text = (ROOT / "docker/start/store.sh").read_text()
    (folder / "store.sh").write_text(re.sub("|".join(known), lambda found: known[found[0]], text))
    return ["sh", str(folder / "store.sh")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, int]]:
    """Its process and S3's port; folders and ports are the test's own, all else is the script's."""
    folder = tmp_path_factory.mktemp("store")
    ports = dict(zip(("18330", "18333", "18334", "18335"), map(str, pairs()), strict=False))
    (folder / "nobody").mkdir()
    dockerfile = (ROOT / "docker/Dockerfile").read_text().replace("\\\n", " ")
    [make] = re.findall(r"FROM ground AS nobody\nWORKDIR /nobody\nRUN (.*)", dockerfile)
    subprocess.run(["sh", "-c", make], cwd=folder / "nobody", check=True, capture_output=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LISTEN": OTHERS, **SECRETS}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            script(folder, **ports), env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while not (folder / "ready").exists():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield psutil.Process(process.pid), int(ports["18330"])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for left in Path("/tmp").glob("seaweedfs-*.sock"):
            if left.stem.rpartition("-")[2] in ports.values():
                left.unlink()


def field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def client(port: int, name: str, secret: str) -> Any:
    keys = {"aws_access_key_id": name, "aws_secret_access_key": secret, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://{OTHERS}:{port}", **keys)


def test_others_reach_s3_and_its_grpc_alone(store: tuple[psutil.Process, int]) -> None:
    process, port = store
    found = [
        each.laddr for child in process.children(recursive=True) for each in child.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    ]  # fmt: skip
    assert len({place.port for place in found}) == 8
    assert {place.port for place in found if place.ip != "127.0.0.1"} == {port, port + 10000}


def test_nobody_makes_himself_an_account_by_s3_s_grpc(store: tuple[psutil.Process, int]) -> None:
    port = store[1]
    login = field(2, field(1, b"stranger") + field(2, b"of-a-stranger"))
    identity = field(1, b"stranger") + login + field(3, b"Admin")
    with grpc.insecure_channel(f"{OTHERS}:{port + 10000}") as channel:
        put = channel.unary_unary(PUT_IDENTITY, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            put(field(1, identity), timeout=20)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    stranger = client(port, "stranger", "of-a-stranger")
    with pytest.raises(stranger.exceptions.ClientError, match="InvalidAccessKeyId"):
        stranger.list_buckets()


def test_each_account_has_its_bucket_and_not_the_other_s(store: tuple[psutil.Process, int]) -> None:
    for name, own, other in (("mlflow", "mlflow", "dvc"), ("worker", "dvc", "mlflow")):
        account = client(store[1], name, SECRETS[f"STORE_{name.upper()}_SECRET"])
        account.put_object(Bucket=own, Key="one", Body=b"1")
        assert account.get_object(Bucket=own, Key="one")["Body"].read() == b"1"
        with pytest.raises(account.exceptions.ClientError, match="AccessDenied"):
            account.list_objects_v2(Bucket=other)


def test_without_its_certificates_it_does_not_start(tmp_path: Path) -> None:
    env = {**os.environ, **SECRETS}
    done = subprocess.run(script(tmp_path), env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "authority.pem" in done.stderr

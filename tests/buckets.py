"""SeaweedFS on loopback: a store that speaks S3, with a bucket and a key of its own."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from servers import free_port

from roadseg.pipeline.process import tied

BUCKET, KEY, SECRET = "roadseg", "of-the-tests", "only-of-the-tests"


class Store:
    """A store; it ends with the process that starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        one = {"name": "all", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [one]}))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        ports = {f"{name}.port{kind}": free_port() for name in ("master", "volume", "filer") for kind in ("", ".grpc")}
        options = ports | {
            "dir": folder / "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true",
            "s3.port": port, "s3.port.grpc": free_port(), "s3.config": folder / "s3.json",
            "s3.port.iceberg": 0, "s3.port.lance": 0, "filer.localSocket": folder / "filer.sock",
            "s3.localSocket": folder / "s3.sock", "master.telemetry": "false", "master.volumeSizeLimitMB": 64,
            "volume.max": 20,
        }  # fmt: skip
        weed = shutil.which("weed", path=str(Path(sys.executable).parent))
        assert weed, "weed is missing: run `make setup`"
        command = [weed, "server", *(f"-{name}={value}" for name, value in options.items())]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(tied(command), cwd=folder, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until the bucket is made."""
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)
        while True:
            try:
                self.client().create_bucket(Bucket=BUCKET)
                return
            except Exception:  # its parts start one after another
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.2)

    def stop(self) -> None:
        self.process.kill()  # it would say goodbye to itself for half a minute
        self.process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What S3's clients read."""
        named = {"AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1"}
        return named | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def client(self) -> Any:
        return client_of(self.url)

    def _answers(self) -> bool:
        try:
            with urlopen(self.url, timeout=2):
                return True
        except HTTPError:  # without a key it refuses
            return True
        except OSError:
            return False


def client_of(url: str) -> Any:
    """A client with the tests' key."""
    import boto3

    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=url, **keys)

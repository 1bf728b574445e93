"""A team's servers on loopback: PostgreSQL, a store that speaks S3, and on them MLflow and Prefect with logins."""

import base64
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import buckets
import pytest
from filelock import FileLock
from postgres import Postgres
from servers import free_port, kill_tree
from trees import ROOT

from flows.services.environment import SOURCES
from roadseg.pipeline.process import tied

if TYPE_CHECKING:
    from mlflow import MlflowClient

PASSWORDS = {name: f"{name}-of-the-tests-only" for name in ("admin", "gate", "trainer", "reader")}
HOLDERS: list["subprocess.Popen[bytes]"] = []  # that this process has started
PATIENCE = 60.0  # seconds for an answer
PREFECT_LOGIN = "prefect:of-the-tests-only"


@dataclass(frozen=True)
class Stack:
    """Where the servers are; what it holds may cross processes."""

    folder: str
    postgres_port: int
    store: str
    mlflow: str
    prefect: str

    def environment(self, user: str) -> dict[str, str]:
        """What a person's shell or a worker has: addresses and logins, and nothing else."""
        named = {"AWS_ENDPOINT_URL": self.store, "AWS_DEFAULT_REGION": "us-east-1"}
        keys = {"AWS_ACCESS_KEY_ID": buckets.KEY, "AWS_SECRET_ACCESS_KEY": buckets.SECRET}
        mlflow = {"MLFLOW_TRACKING_URI": self.mlflow, "MLFLOW_TRACKING_USERNAME": user}
        mlflow |= {"MLFLOW_TRACKING_PASSWORD": PASSWORDS[user]}
        return named | keys | mlflow | {"PREFECT_API_URL": self.prefect, "PREFECT_API_AUTH_STRING": PREFECT_LOGIN}

    def ask(self, url: str, method: str = "GET", login: str = "", body: object = None, **headers: str) -> int:
        """The status of an answer; without a login, or with `name:password`."""
        return self.told(url, method, login, body, **headers)[0]

    def told(
        self, url: str, method: str = "GET", login: str = "", body: object = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of an answer; 0 where none comes in time."""
        request = Request(url, json.dumps(body).encode() if body is not None else None, method=method)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            request.add_header(name.replace("_", "-"), value)
        if login:
            request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status), answer.read()
        except HTTPError as error:
            return error.code, error.read()
        except TimeoutError:
            return 0, b""

    def mlflow_api(self, path: str, method: str = "GET", user: str = "", body: object = None) -> tuple[int, Any]:
        """Status and JSON of MLflow's API, as a user or as nobody."""
        login = f"{user}:{PASSWORDS[user]}" if user else ""
        status, said = self.told(f"{self.mlflow}/api/2.0/mlflow/{path}", method, login, body)
        return status, json.loads(said) if said[:1] in (b"{", b"[") else said.decode()


def client_as(stack: Stack, user: str, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    """A client of MLflow with a login, in a process that has no key of the store."""
    from roadseg.tracking.store import connect  # late: MLflow loads in seconds

    for name, value in stack.environment(user).items():
        if name.startswith("AWS_"):
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return connect()


@contextmanager
def shared_stack(shared: Path) -> Iterator[Stack]:
    """The stack of this session: a process of its own holds it for all test processes.

    Whoever uses it holds a lock that the kernel frees at death, too; when nobody does, the holder ends the servers.
    """
    about, log = shared / "stack.json", shared / "stack.log"
    with (shared / "stack.users").open("w") as users:
        with FileLock(shared / "stack.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not about.exists():
                search = os.pathsep.join([str(ROOT / "src"), str(ROOT), str(ROOT / "tests")])
                command = [sys.executable, __file__, str(shared)]
                with log.open("ab") as opened:
                    environment = {**os.environ, "PYTHONPATH": search}
                    HOLDERS.append(
                        subprocess.Popen(
                            command, env=environment, stdout=opened, stderr=opened, stdin=subprocess.DEVNULL,
                            start_new_session=True, cwd=shared,
                        )
                    )  # fmt: skip
                while not about.exists():
                    assert HOLDERS[-1].poll() is None, log.read_text()
                    time.sleep(0.2)
        yield Stack(**json.loads(about.read_text()))


def hold(shared: Path) -> None:
    """Start the servers, say where they are, and end them when nobody uses them any more."""
    about = shared / "stack.json"
    with _started(shared / f"stack-{os.getpid()}") as stack, (shared / "stack.users").open("a") as users:
        about.with_suffix(".tmp").write_text(json.dumps(asdict(stack)))
        about.with_suffix(".tmp").rename(about)
        fcntl.flock(users, fcntl.LOCK_EX)
        about.unlink()  # who comes from here on starts another


@contextmanager
def _started(folder: Path) -> Iterator[Stack]:
    folder.mkdir()
    with ExitStack() as ends:
        store = buckets.Store(folder / "store")
        ends.callback(store.stop)
        postgres = Postgres()
        ends.callback(postgres.stop)
        postgres.make("mlflow", "logins", "prefect")
        mlflow = _mlflow(folder, postgres, store, ends)
        prefect = _prefect(folder, postgres, ends)
        stack = Stack(str(folder), postgres.port, store.url, mlflow, prefect)
        store.wait()
        _wait(f"{prefect}/health", folder / "prefect.log")
        _wait(f"{mlflow}/health", folder / "mlflow.log")
        _cheapen_logins(postgres)
        _enter_people(stack)
        _cheapen_logins(postgres)
        yield stack


def _mlflow(folder: Path, postgres: Postgres, store: buckets.Store, ends: ExitStack) -> str:
    url = f"http://127.0.0.1:{free_port()}"
    logins = postgres.address("postgresql+psycopg", "logins")
    settings = {"default_permission": "READ", "database_uri": logins, "admin_username": "admin"}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (folder / "logins.ini").write_text("\n".join(["[mlflow]", *lines]) + "\n")
    environment = store.environment | {
        "MLFLOW_BACKEND_STORE_URI": postgres.address("postgresql+psycopg", "mlflow"),
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "logins.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORDS["admin"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-the-tests-only",
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": SOURCES,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*,localhost:*",
    }
    places = ["--artifacts-destination", f"s3://{buckets.BUCKET}/mlflow"]
    where = ["--host", "127.0.0.1", "--port", url.rpartition(":")[2], "--workers", "1", "--app-name", "roadseg-auth"]
    command = [sys.executable, "-m", "mlflow", "server", *places, *where]
    ends.callback(kill_tree, _run(folder / "mlflow.log", command, environment))
    return url


def _prefect(folder: Path, postgres: Postgres, ends: ExitStack) -> str:
    port = str(free_port())
    environment = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.address("postgresql+asyncpg", "prefect"),
        "PREFECT_SERVER_API_AUTH_STRING": PREFECT_LOGIN,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    ends.callback(kill_tree, _run(folder / "prefect.log", command, environment))
    return f"http://127.0.0.1:{port}/api"


def _run(log: Path, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "AWS_"))}
    with log.open("ab") as opened:
        return subprocess.Popen(tied(command), cwd=log.parent, env=kept | environment, stdout=opened, stderr=opened)


def _wait(url: str, log: Path, patience: float = 300.0) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def _enter_people(stack: Stack) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment("admin").items():
            patch.setenv(name, value)
        from roadseg.registry.people import PARTS, let_in

        for part in PARTS:
            assert let_in(part, PASSWORDS[part], part)


def _cheapen_logins(postgres: Postgres) -> None:
    """Give the same passwords cheap hashes: a check takes 0.2 s of a core, and tests make thousands."""
    from werkzeug.security import generate_password_hash

    for user, password in PASSWORDS.items():
        cheap = generate_password_hash(password, method="pbkdf2:sha256:1")
        postgres.execute("update users set password_hash = %s where username = %s", "logins", (cheap, user))


if __name__ == "__main__":
    hold(Path(sys.argv[1]))

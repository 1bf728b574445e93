"""What the stack needs beside `docker compose`: its secrets, backup and restore, upgrade. Needs nothing but Python.

python3 docker/stack.py env                 docker/.env with a secret of its own for each empty one
python3 docker/stack.py backup FOLDER       databases, buckets and the worker's repository into a new folder
python3 docker/stack.py restore FOLDER      the same into a stack that has nothing yet, and start it
python3 docker/stack.py upgrade FOLDER      back up, build the images of this checkout, and start them
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).parent
DATABASES = {"mlflow": "mlflow", "mlflow_auth": "mlflow", "prefect": "prefect"}  # and whose they are
BUCKETS = {"mlflow": ("mlflow", "STORE_MLFLOW_SECRET"), "dvc": ("worker", "STORE_WORKER_SECRET")}  # account, secret
POSTGRES = ("--host", "/tmp", "--port", "15432", "--username", "postgres")
PATIENCE = 900.0  # seconds until all services are healthy; the first start makes databases, scenes and deployments
FORMAT = 2
TRIES = 5  # to find no run that commits between the repository's copy and the push of what it names
# a bundle is whole while others commit, which a tar of the folder is not
PACK = """folder=$(mktemp -d) && git bundle create --quiet "$folder/all.bundle" --all && cp .git/config "$folder" \\
  && tar --create --directory "$folder" . && rm -r "$folder"
"""
UNPACK = """folder=$(mktemp -d) && tar --extract --directory "$folder" && find .git -mindepth 1 -delete \\
  && git init --quiet --initial-branch main && cp "$folder/config" .git/config \\
  && git fetch --quiet --update-head-ok "$folder/all.bundle" 'refs/*:refs/*' && rm -r "$folder"
"""


class Refused(Exception):
    """Something that a person must settle; the text says what."""


def settings(path: Path | None = None) -> dict[str, str]:
    """What compose sees: docker/.env or another file, and the environment, which wins.

    Raises:
        Refused: there is no such file.
    """
    path = path or HERE / ".env"
    if not path.exists():
        raise Refused(f"{path} is missing: `python3 docker/stack.py env` writes it")
    lines = re.findall(r"^([A-Z_]+)=(.*?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: value.strip("'\"") for name, value in lines} | dict(os.environ)


def write_env(path: Path | None = None) -> None:
    """Write the example with a random secret for each empty one; an earlier file stays, and gets those that it lacks.

    Raises:
        Refused: that one has them all.
    """
    path, example = path or HERE / ".env", HERE / ".env.example"
    wanted = example.read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8") if path.exists() else wanted
    lacking = [
        name for name in re.findall(r"^([A-Z_]+)=$", wanted, re.MULTILINE) if not re.search(rf"(?m)^{name}=", text)
    ]
    text = "\n".join([text.rstrip("\n"), *(f"{name}=" for name in lacking), ""])
    filled = re.sub(r"^([A-Z_]+)=\s*$", lambda found: f"{found[1]}={_secret(found[1])}", text, flags=re.MULTILINE)
    if path.exists() and filled == text:
        raise Refused(f"{path} has all its secrets: edit it by hand")
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(filled)
        _sync(opened)
    temporary.rename(path)
    print(f"{path}: keep it out of the repository, and a copy where a backup of the stack does not lie")


def secrets_of(known: dict[str, str]) -> list[str]:
    """The values among the settings that nobody may see."""
    return [known[name] for name in re.findall(r"^([A-Z_]+)=$", (HERE / ".env.example").read_text(), re.MULTILINE)]


def _secret(name: str) -> str:
    made = secrets.token_hex(24)  # hexadecimal: no sign that an address or a shell would read
    return f"admin:{made}" if name == "PREFECT_AUTH" else made


def backup(folder: Path) -> None:
    """Write all that cannot be made again. The stack goes on meanwhile.

    The repository comes first, then the push of the data and results that its branches name, then databases, and the
    buckets last: every object that a commit or a row names is there.

    Raises:
        Refused: the folder is there, a service is down, or runs commit all the time.
    """
    if folder.exists():
        raise Refused(f"{folder} is there already: name a new folder")
    temporary = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    _repository(temporary / "git.tar")
    for name in DATABASES:
        dump = ["exec", "-T", "database", "pg_dump", *POSTGRES, "--format", "custom", name]
        _write(temporary / f"{name}.dump", lambda file, dump=dump: _compose(*dump, stdout=file))
    for name in BUCKETS:
        _write(temporary / f"{name}.tar", lambda file, name=name: _bucket("save", name, stdout=file))
    digests = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
    about = {"format": FORMAT, "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "sha256": digests}
    (temporary / "backup.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    temporary.rename(folder)
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.1f} MB")


def restore(folder: Path) -> None:
    """Fill a stack that has nothing yet with a backup, and start it.

    Raises:
        Refused: the backup is damaged, or the stack has something.
    """
    _check(folder)
    _compose("up", "--no-start")
    _compose("up", "-d", "database", "store")
    wait_until_healthy("database", "store")
    for name in DATABASES:
        tables = ["psql", *POSTGRES, "-At", "-c", "select count(*) from pg_tables where schemaname = 'public'", name]
        if _compose("exec", "-T", "database", *tables, stdout=subprocess.PIPE).strip() != b"0":
            raise Refused(f"database {name} is not empty: restore into a new stack, or after `docker compose down -v`")
    for name, owner in DATABASES.items():
        load = ["pg_restore", *POSTGRES, "--exit-on-error", "--no-owner", "--role", owner, "--dbname", name]
        with (folder / f"{name}.dump").open("rb") as file:
            _compose("exec", "-T", "database", *load, stdin=file)
    for name in BUCKETS:
        with (folder / f"{name}.tar").open("rb") as file:
            _bucket("load", name, stdin=file)
    volumes = ["--volumes-from", _container("worker"), _image("worker")]
    with (folder / "git.tar").open("rb") as file:
        _run("docker", "run", "--rm", "--interactive", *volumes, "sh", "-c", UNPACK, stdin=file)
    _compose("up", "-d")
    wait_until_healthy()


def upgrade(folder: Path) -> None:
    """Back up, build the images of this checkout, and start them; MLflow's and Prefect's migrate their databases."""
    backup(folder)
    _compose("build")
    _compose("up", "-d")
    wait_until_healthy()


def wait_until_healthy(*services: str) -> None:
    """Wait for services, for all where none is named.

    Raises:
        Refused: one is not healthy in time.
    """
    names = list(services) or _compose("config", "--services", stdout=subprocess.PIPE).decode().split()
    deadline, states = time.monotonic() + PATIENCE, dict[str, str]()
    while time.monotonic() < deadline:
        states = {name: _health(name) for name in names}
        if set(states.values()) == {"healthy"}:
            return
        time.sleep(1)
    late = ", ".join(f"{name} is {state}" for name, state in states.items() if state != "healthy")
    raise Refused(f"{late} after {PATIENCE:.0f} s: `docker compose logs` says why")


def _health(service: str) -> str:
    state = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}"
    with contextlib.suppress(Refused):
        status, _, health = (
            _run("docker", "inspect", "-f", state, _container(service), stdout=-1).decode().partition(" ")
        )
        return health.strip() if status == "running" else status
    return "absent"


def _repository(path: Path) -> None:
    """Copy the worker's repository, and push what its branches name."""
    heads = ["exec", "-T", "worker", "git", "for-each-ref", "refs/heads"]
    for _ in range(TRIES):
        before = _compose(*heads, stdout=subprocess.PIPE)
        _write(path, lambda file: _compose("exec", "-T", "worker", "sh", "-c", PACK, stdout=file))
        _compose("exec", "-T", "worker", "dvc", "push", "--all-branches")
        if _compose(*heads, stdout=subprocess.PIPE) == before:
            return
    raise Refused("runs commit all the time: back up when fewer end")


def _check(folder: Path) -> None:
    try:
        about: dict[str, Any] = json.loads((folder / "backup.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{folder} is no backup ({error}): name a folder that `stack.py backup` wrote") from None
    if about.get("format") != FORMAT:
        raise Refused(f"{folder} has format {about.get('format')}, not {FORMAT}: restore it with its own checkout")
    for name, digest in about["sha256"].items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise Refused(f"{folder / name} is not what was backed up: take another backup")


def _bucket(word: str, name: str, **streams: Any) -> None:
    """Save or load a bucket, in a container beside the store."""
    account, secret = BUCKETS[name]
    known = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": settings()[secret]}
    known |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:18330", "AWS_DEFAULT_REGION": "us-east-1"}
    passed = [part for variable in known for part in ("--env", variable)]  # by name: arguments are seen by others
    where = ["--interactive", "--network", f"container:{_container('store')}", *passed, _image("mlflow")]
    _run(
        "docker",
        "run",
        "--rm",
        *where,
        "python",
        "/opt/start/buckets.py",
        word,
        name,
        env=os.environ | known,
        **streams,
    )


def _container(service: str) -> str:
    labels = {"project": settings().get("COMPOSE_PROJECT_NAME") or HERE.name, "service": service, "oneoff": "False"}
    wanted = [
        part for name, value in labels.items() for part in ("--filter", f"label=com.docker.compose.{name}={value}")
    ]
    found = _run("docker", "ps", "--all", "--quiet", *wanted, stdout=subprocess.PIPE).decode().split()
    if len(found) != 1:
        raise Refused(f"{service} has {len(found)} containers: `docker compose up -d` first")
    return found[0]


def _image(service: str) -> str:
    return f"roadseg-{service}:{settings().get('TAG') or 'latest'}"


def _compose(*words: str, **streams: Any) -> bytes:
    return _run(*_tool(), *words, cwd=HERE, **streams)


@cache
def _tool() -> tuple[str, ...]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return ("docker", "compose") if plugin else ("docker-compose",)


def _run(*command: str, **options: Any) -> bytes:
    done = subprocess.run(command, **options)
    if done.returncode:
        raise Refused(f"`{' '.join(command[:8])}` failed with {done.returncode}")
    return bytes(done.stdout or b"")


def _write(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    with path.open("wb") as file:
        fill(file)
        _sync(file)


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Run a word."""
    words: dict[str, Callable[..., None]] = {"env": write_env, "backup": backup, "restore": restore, "upgrade": upgrade}
    word, *folder = sys.argv[1:] or [""]
    if word not in words or len(folder) != (word != "env"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        words[word](*(Path(each).absolute() for each in folder))
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

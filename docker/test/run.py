"""`make docker-test`: the whole stack from Debian's packages to a served champion, and back from a backup.

Runs in a copy of the checkout with small parameters, and leaves nothing but images. Prints each step with its seconds.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from client import ENDED, Client, waited
from ground import CLASSIC, make_base, make_stand_ins, missing
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
import stack
from doors import ask_without_login, inner_ports

ROOT = Path(__file__).parent.parent.parent
OURS = ("worker", "server", "mlflow", "prefect", "database", "store", "proxy")
SMALL = {
    "preprocess": {"height": 64, "width": 128},
    "train": {"epochs": 60, "batch": 4, "precision": "float32"},
    "promote": {"miou_min": 0.0},  # such a model knows little
}
PORTS = {"PREFECT_PORT": "24200", "MLFLOW_PORT": "25000", "MODELS_PORT": "28000"}
MLFLOW_BACK = (Path(__file__).parent / "mlflow_back.py").read_text()
TOLD: dict[str, Any] = {}


@contextmanager
def step(name: str) -> Iterator[None]:
    """Time a step and say so."""
    print(f"{name} ...", flush=True)
    began = time.monotonic()
    yield
    TOLD[name] = round(time.monotonic() - began, 1)
    print(f"{name}: {TOLD[name]} s", flush=True)


def copy_tree(target: Path) -> None:
    """The files that git knows or would take, with small parameters."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("data/", "reports/", "metrics.json", "dvc.lock")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    params = yaml.safe_load((target / "params.yaml").read_text())
    for section, values in SMALL.items():
        params[section].update(values)
    (target / "params.yaml").write_text(yaml.safe_dump(params))


def compose(*words: str) -> str:
    """A word of compose; what it prints."""
    return stack._compose(*words, stdout=subprocess.PIPE).decode()


def versions() -> list[str]:
    """Engine, compose and processor."""
    engine = ["docker", "version", "-f", "client {{.Client.Version}}, engine {{.Server.Version}}"]
    said = [
        subprocess.run(command, capture_output=True, text=True).stdout
        for command in (engine, [*stack._tool(), "version"])
    ]
    processor = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return [time.strftime("%Y-%m-%d"), *(each.splitlines()[0] for each in said), f"{len(processor)} of {processor[0]}"]


def refuse_without_secrets() -> None:
    """Nothing starts from the example as it is."""
    shutil.copy(stack.HERE / ".env.example", stack.HERE / ".env")
    done = subprocess.run([*stack._tool(), "up", "-d"], cwd=stack.HERE, capture_output=True, text=True)
    assert done.returncode, "the stack started without secrets"
    assert ".env.example" in done.stderr, done.stderr
    (stack.HERE / ".env").unlink()


def write_settings(images: dict[str, str]) -> dict[str, str]:
    """docker/.env with secrets, and with what this machine needs."""
    stack.write_env()
    bridged = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True).returncode == 0
    more = {**images, **PORTS, "TAG": "test", "COMPOSE_PROJECT_NAME": "roadsegtest"}
    more["COMPOSE_FILE"] = f"compose.yaml:compose.{'override' if bridged else 'host'}.yaml"
    text = (stack.HERE / ".env").read_text().replace("COMPOSE_PROJECT_NAME=roadseg\n", "")
    (stack.HERE / ".env").write_text(text + "".join(f"{name}={value}\n" for name, value in more.items()))
    return stack.settings()


def look_at_images(tag: str) -> None:
    """Each runs as a user and has neither compiler nor cache nor a secret in its history."""
    look = "id -u; for tool in gcc cc make uv; do command -v $tool; done; ls -A /var/lib/apt/lists ~/.cache 2>/dev/null"
    secrets = stack.secrets_of(stack.settings())
    for name in OURS:
        image = f"roadseg-{name}:{tag}"
        command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look]
        found = subprocess.run(command, capture_output=True, text=True).stdout
        lines = [line for line in found.splitlines() if line and not line.endswith(":")]
        assert lines[0] != "0", f"{image} runs as root"
        assert not lines[1:], f"{image} holds {lines[1:]}"
        about = subprocess.run(["docker", "history", "--no-trunc", image], capture_output=True, text=True).stdout
        about += (inspected := subprocess.run(["docker", "inspect", image], capture_output=True, text=True).stdout)
        assert not [secret for secret in secrets if secret and secret in about], f"{image} tells a secret"
        TOLD[f"MB {name}"] = round(json.loads(inspected)[0]["Size"] / 1e6)


def picture() -> bytes:
    """A picture of blocks, PNG."""
    blocks = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(np.repeat(np.repeat(blocks, 20, 0), 20, 1)).save(stream, "PNG")
    return stream.getvalue()


def mask(client: Client) -> bytes:
    """The champion's mask of the picture, as soon as it is served."""
    content: bytes = waited(
        lambda: answer[1] if (answer := client.ask("models", "/predict", picture()))[0] == 200 else b"", "the mask"
    )
    assert Image.open(BytesIO(content)).size == (320, 180)
    return content


def run_with_restarts(client: Client) -> None:
    """Stop the worker in a training, which cancels that run alone; the next one goes on while all others restart."""
    first = client.start_run("retrain/retrain")
    waited(lambda: client.stages(first).get("train") == "Running", "a training")
    with step("restart worker in train"):
        compose("restart", "worker")
        stack.wait_until_healthy("worker")
    ended = [client.wait_for_run(first)]
    assert ended[0]["state_type"] in ("CANCELLED", "COMPLETED"), ended[0]["state_name"]  # it may have been faster
    run = client.start_run("retrain/retrain")
    for name in ("proxy", "store", "database", "mlflow", "server", "prefect"):
        restart(client, run, name)
    ended.append(last := client.wait_for_run(run))
    TOLD.update({"its stages": client.stages(run), "its name": last["name"]})
    TOLD["runs ended"] = [each["state_name"] for each in ended]
    assert last["state_type"] == "COMPLETED", f"a restart ended the run: {last['state']}"


def restart(client: Client, run: str, name: str) -> None:
    """Restart a service while a stage of the run is at work."""

    def running() -> str | None:
        return next((stage for stage, state in client.stages(run).items() if state == "Running"), None)

    at = waited(lambda: running() or client.run(run)["state_type"] in ENDED, f"a stage of {run}")
    assert at is not True, f"the run ended before {name} was restarted: give it more epochs in SMALL"
    with step(f"restart {name} in {at}"):
        compose("restart", name)
        stack.wait_until_healthy(name)


def scenario(tree: Path) -> None:
    """All of it, in order."""
    TOLD["with"] = versions()
    with step("base and stand-ins"):
        make_base()
        images = make_stand_ins(tree)
    refuse_without_secrets()
    settings = write_settings(images)
    with step("resolve the lock of the GPU's worker"):
        resolve = ["uv", "pip", "sync", "--dry-run", "--quiet", "--require-hashes", "requirements/worker-gpu.txt"]
        subprocess.run([*resolve, "--python", sys.executable], cwd=tree, check=True)
    for name in reversed(OURS):
        with step(f"build {name}"):
            compose("build", name)
    look_at_images("test")
    with step("up until all are healthy"):
        compose("up", "-d")
        stack.wait_until_healthy()
    authority = tree / "root.crt"
    inside = "/var/lib/roadseg/caddy/pki/authorities/local/root.crt"
    subprocess.run(["docker", "cp", f"{stack._container('proxy')}:{inside}", str(authority)], check=True)
    client = Client(settings, authority)
    ask_without_login(client)
    if "host" in settings["COMPOSE_FILE"]:
        TOLD["inner ports on loopback"] = inner_ports()
    with step("a champion, with each service restarted on the way"):
        run_with_restarts(client)
    assert client.champion() == "1"
    with step("the first mask"):
        before = mask(client)
    with step("backup"):
        stack.backup(tree / "backup")
    TOLD["MB backup"] = round(sum(path.stat().st_size for path in (tree / "backup").iterdir()) / 1e6, 1)
    with step("destroy"):
        compose("down", "-v")
    with step("restore until all are healthy"):
        stack.restore(tree / "backup")
    subprocess.run(["docker", "cp", f"{stack._container('proxy')}:{inside}", str(authority)], check=True)
    client = Client(settings, authority)
    assert client.champion() == "1"
    with step("the same mask"):
        assert mask(client) == before, "another mask after restore"
    compose("exec", "-T", "worker", "sh", "-c", "test -d data/raw && git diff --quiet HEAD")
    migrate_and_upgrade(tree)
    assert mask(client) == before, "another mask after the upgrade"


def revision(database: str) -> str:
    """The migration that a database stands at."""
    ask = ["psql", *stack.POSTGRES, "-At", "-c", "select * from alembic_version", database]
    return compose("exec", "-T", "database", *ask)


def migrate_and_upgrade(tree: Path) -> None:
    """Take Prefect's and MLflow's databases one migration back; an upgrade brings them forward."""
    heads = {database: revision(database) for database in ("prefect", "mlflow")}
    compose("exec", "-T", "prefect", "prefect", "server", "database", "downgrade", "-y", "-r", "-1")
    compose("exec", "-T", "mlflow", "python", "-c", MLFLOW_BACK)
    for database, head in heads.items():
        assert revision(database) != head, database
    with step("upgrade"):
        compose("stop", "prefect", "mlflow")
        stack.upgrade(tree / "before")
    assert {database: revision(database) for database in heads} == heads


def main() -> None:
    """Run the test where there is an engine; clean up either way."""
    if lacks := missing():
        print(f"not run: {'; '.join(lacks)}", file=sys.stderr)
        sys.exit(2)
    tree = Path(tempfile.mkdtemp(prefix="roadseg-docker-test-"))
    os.environ |= CLASSIC
    os.environ["COMPOSE_DOCKER_CLI_BUILD"] = "0"
    try:
        copy_tree(tree)
        stack.HERE = tree / "docker"
        scenario(tree)
        print("passed")
    except BaseException:
        if (tree / "docker/.env").exists():
            subprocess.run([*stack._tool(), "logs", "--tail", "60"], cwd=tree / "docker")
        raise
    finally:
        print(json.dumps(TOLD, indent=1), flush=True)
        if (tree / "docker/.env").exists():
            subprocess.run([*stack._tool(), "down", "-v"], cwd=tree / "docker", capture_output=True)
        shutil.rmtree(tree, ignore_errors=True)


if __name__ == "__main__":
    main()

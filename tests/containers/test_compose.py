"""The stack as compose and the Dockerfile describe it, read without an engine."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from trees import ROOT

FOLDER = ROOT / "docker"
EXAMPLE = (FOLDER / ".env.example").read_text()
SECRETS = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)
GOOD = {name: f"{number:02}k3v9x0q7w2r5t8y1" for number, name in enumerate(SECRETS)}
VARIABLE = re.compile(r"\$\$|\$\{([A-Z_]+)(?:(:-|:\?)([^}]*))?\}")


@cache
def rendered_by_the_engine(variant: str) -> dict[str, Any]:
    """The services of `compose.yaml` with one more file, as the engine's tool reads them."""
    named = [part for file in files(variant) for part in ("-f", str(file))]
    env = {"PATH": os.environ["PATH"], **GOOD}
    command = ["docker-compose", *named, "config"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT / "tests")
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout)["services"])


def rendered(variant: str, values: dict[str, str] = GOOD) -> dict[str, Any]:
    """The same, read here.

    Raises:
        ValueError: a variable has no value that must have one.
    """

    def fill(found: re.Match[str]) -> str:
        name, kind, text = found.groups()
        if name is None:
            return "$"
        if kind == ":?" and not values.get(name):
            raise ValueError(f"{name}: {text}")
        return values.get(name) or (text if kind == ":-" else "")

    services: dict[str, Any] = {}
    for file in files(variant):
        lines = (line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
        for name, content in yaml.safe_load(VARIABLE.sub(fill, "\n".join(lines)))["services"].items():
            known = services.setdefault(name, {})
            for key, value in content.items():
                known[key] = {**known.get(key, {}), **value} if isinstance(value, dict) else value
    return services


def files(variant: str) -> list[Path]:
    return [FOLDER / "compose.yaml", FOLDER / f"compose.{variant}.yaml"]


def stages() -> dict[str, tuple[str, list[str]]]:
    """What each stage of the Dockerfile stands on, and its instructions."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if start := re.match(r"FROM (\S+) AS (\S+)", line):
            instructions = found.setdefault(start[2], (start[1], []))[1]
        elif found and line and not line.startswith("#"):
            instructions.append(line)
    return found


def both_ways(variant: str) -> list[dict[str, Any]]:
    """Read here, and by the engine's tool where that is installed."""
    return [rendered(variant), *([rendered_by_the_engine(variant)] if shutil.which("docker-compose") else [])]


def test_only_the_proxy_publishes_ports() -> None:
    for services in both_ways("override"):
        assert len(services) == 7
        assert {name for name, service in services.items() if service.get("ports")} == {"proxy"}
        assert not any(service.get("network_mode") for service in services.values())


def test_what_is_published_is_on_loopback_unless_somebody_asks_for_more() -> None:
    for services in both_ways("override"):
        assert sorted(str(each).removesuffix("/tcp") for each in services["proxy"]["ports"]) == [
            f"127.0.0.1:{each}" for each in ("4200:4200", "5000:5000", "8000:8000")
        ]


def test_on_the_host_s_network_all_listen_on_loopback() -> None:
    addresses = {"LISTEN", "PREFECT_SERVER_API_HOST", "MLFLOW_HOST", "PREFECT_WORKER_WEBSERVER_HOST"}
    for services in both_ways("host"):
        for name, service in services.items():
            assert service["network_mode"] == "host"
            assert not service.get("ports"), name
            named = {key: value for key, value in service["environment"].items() if key in addresses}
            assert named, name
            assert set(named.values()) == {"127.0.0.1"}, name


@pytest.mark.parametrize("port", ["5000", "443"])
def test_mlflow_takes_a_browser_at_each_port_and_no_other_name(port: str) -> None:
    from mlflow.server.security_utils import is_allowed_host_header, should_block_cors_request  # late: loads in seconds

    environment = rendered("override", {**GOOD, "DOMAIN": "roads.example", "MLFLOW_PORT": port})["mlflow"][
        "environment"
    ]
    hosts = environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    origins = environment["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    sent = "roads.example" if port == "443" else f"roads.example:{port}"  # browsers leave out TLS' own port
    assert is_allowed_host_header(hosts, sent)
    assert is_allowed_host_header(hosts, "mlflow:15000")
    assert not should_block_cors_request(f"https://{sent}", "POST", origins)
    for other in ("evil.example", "roads.example.evil.example", f"evil.example:{port}"):
        assert not is_allowed_host_header(hosts, other)
        assert should_block_cors_request(f"https://{other}", "POST", origins)


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_is_rendered(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        rendered("override", {**GOOD, name: ""})


def test_every_variable_stands_in_the_example_and_the_other_way_round() -> None:
    used = {
        found[1]
        for file in FOLDER.glob("compose*.yaml")
        for found in VARIABLE.finditer(file.read_text())
        if found[1] is not None
    }
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert named - used == {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE", "ROADSEG_WORKERS"}
    assert used <= named
    assert len(SECRETS) > 8


def test_every_secret_of_a_service_is_looked_at_before_it_starts() -> None:
    services = rendered("override")
    for name, service in services.items():
        [command] = [line for line in stages()[service["build"]["target"]][1] if line.startswith("CMD")]
        checked = re.findall(r'"([A-Z_]+)"', command.partition('"--"')[0])
        secret = {key for key, value in service["environment"].items() if value in GOOD.values()}
        assert secret - set(checked) <= {"AWS_SECRET_ACCESS_KEY"}, name  # the store checks it
        assert checked, name


def test_every_image_is_run_by_a_user_and_says_how_it_is() -> None:
    for service in rendered("override").values():
        name = service["build"]["target"]
        instructions = stages()[name][1]
        users = [line.split()[1] for line in instructions if line.startswith("USER")]
        assert users, name
        assert users[-1] not in ("root", "0"), name
        assert any("HEALTHCHECK" in line for line in instructions), name
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["cap_drop"] == ["ALL"]


def test_images_take_named_files_and_no_secret() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    for name, (_, instructions) in stages().items():
        for line in instructions:
            assert not re.match(r"COPY\s+(--\S+\s+)*\.\s", line), f"{name}: {line}"
            assert not re.search(r"(ARG|ENV).*(PASSWORD|SECRET|TOKEN)", line), f"{name}: {line}"
            assert "build-essential" not in line
            assert "gcc" not in line


def test_an_image_of_ours_leaves_the_installer_behind() -> None:
    found = stages()
    for name in ("worker", "server", "mlflow", "prefect"):
        base, instructions = found[name]
        assert base == "ground"
        assert next(line for line in instructions if line.startswith("COPY --from")).endswith("/opt/venv /opt/venv")
        assert found[f"{name}-packages"][0] == "uv"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "is empty"),
        ("short7", "has fewer than 16"),
        ("changeme-changeme-1", "is a word of examples"),
        ("my-password-is-long", "is a word of examples"),
        ("a b c d e f g h i j k", "holds other signs"),
        ("a/b@c:defghijklmnop", "holds other signs"),
        ("admin:Password123", "is a word of examples"),
        ("MyChangeMe-k3v9x0q7w2", "is a word of examples"),
        ("admin:aaaaaaaaaa", "has fewer than 16"),
        ("administrator:k3v9x0q7w2r5", "has fewer than 16"),
        ("admin:of:k3v9x0q7w2r5", "has fewer than 16"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "has fewer than 8 different signs"),
        ("admin:1234567123456712345671", "has fewer than 8 different signs"),
    ],
)
def test_a_container_refuses_a_weak_secret(value: str, said: str) -> None:
    command = ["sh", str(FOLDER / "start/with-secrets"), "GOOD", "OTHER", "--", "echo", "started"]
    env = {"PATH": os.environ["PATH"], "GOOD": GOOD["PREFECT_AUTH"], "OTHER": value}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"OTHER {said}" in done.stderr
    assert not value or value not in done.stderr


def test_a_container_with_good_secrets_becomes_its_command() -> None:
    command = ["sh", str(FOLDER / "start/with-secrets"), "ONE", "TWO", "--", "echo", "started"]
    env = {"PATH": os.environ["PATH"], "ONE": "k3v9x0q7w2r5t8y1", "TWO": "admin:k3v9x0q7w2r5t8y1"}
    assert subprocess.run(command, capture_output=True, text=True, env=env).stdout == "started\n"

"""Every door of a team's servers, asked without a login; MLflow's also as a reader."""

import json
import re
import time
import warnings
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from buckets import BUCKET
from postgres import PASSWORD as DATABASE_PASSWORD
from team_stack import PASSWORDS, PREFECT_LOGIN, Stack, client_as
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_socket

from roadseg.registry.versions import MODEL
from roadseg.tracking.store import EXPERIMENT, experiment_id

REFUSED = {401, 403}
OPEN_PREFECT = {"/", "/docs", "/openapi.json", "/redoc", "/docs/oauth2-redirect", "/api/health", "/api/ready"}
OPEN_MLFLOW = ("/health", "/static-files/", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# what everybody with a login may ask for by a POST that changes nothing of ours
ASKED_BY_POST = "gateway-proxy:|ui-telemetry:|get-or-create-user|users/current|"
ASKED_BY_POST += r"search|get-latest-versions|/graphql:|/metrics/get-history|batch-get|query"
# what a writing route may say of things of which there is none here, so that none belongs to anybody
NOBODY_HAS = r"/(label-schemas|review-queues|traces)/|/presigned-(down|up)load-url$"


def filled(route: str) -> str:
    """A route with something in the place of each parameter."""
    return re.sub(r"<[^>]*>|\{[^}]*\}", "1", route)


@pytest.fixture(scope="module")
def mlflow_routes() -> list[tuple[str, str]]:
    """Methods and routes of the application that `roadseg-auth` serves: of Flask and of FastAPI."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of-the-tests-only")
        patch.setenv("_MLFLOW_SGI_NAME", "uvicorn")
        from mlflow.server import app as flask_app
        from mlflow.server import auth

        from roadseg.registry.guard import create_app

        patch.setattr(auth, "_init_store_for_app", lambda: None)  # the table needs no database
        served = create_app()
    flask = [(method, rule.rule) for rule in flask_app.url_map.iter_rules() for method in rule.methods or ()]
    native = [(method, route.path) for route in served.routes for method in getattr(route, "methods", None) or ()]
    return sorted({(method, route) for method, route in flask + native if method not in {"HEAD", "OPTIONS"}})


def let_through(stack: Stack, base: str, routes: Iterable[tuple[str, str]], login: str = "") -> list[str]:
    return [
        f"{method} {route}: {status}"
        for method, route in routes
        if (status := stack.ask(f"{base}{filled(route)}", method, login, {} if method in WRITES else None))
        not in REFUSED
    ]


def test_no_route_of_mlflow_answers_without_a_login(stack: Stack, mlflow_routes: list[tuple[str, str]]) -> None:
    assert len(mlflow_routes) > 300
    closed = [(method, route) for method, route in mlflow_routes if not route.startswith(OPEN_MLFLOW)]
    assert {method for method, _ in closed} >= WRITES
    assert let_through(stack, stack.mlflow, closed) == []
    assert let_through(stack, stack.mlflow, closed[::40], "admin:wrong-password") == []


def test_a_reader_changes_nothing_on_mlflow(
    stack: Stack, mlflow_routes: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every writing route is asked with the names of what is there, and belongs to others."""
    client, login = client_as(stack, "trainer", monkeypatch), f"reader:{PASSWORDS['reader']}"
    experiment = experiment_id(client, EXPERIMENT)
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, "theirs").model_id
    version = client.create_model_version(MODEL, f"{client.get_run(run).info.artifact_uri}/x", run).version
    there = {"experiment_id": experiment, "run_id": run, "run_uuid": run, "model_id": model, "name": MODEL}
    there |= {"version": version, "alias": "champion", "key": "a", "value": "b", "new_name": "mine", "path": "x"}
    there |= {"user_id": 1, "role_id": 1, "workspace": "default", "resource_type": "registered_model"}
    there |= {"permission": "MANAGE", "resource_id": MODEL, "resource_pattern": MODEL}
    there |= {"username": "trainer", "artifact_path": f"{experiment}/{run}/artifacts/x", "experiment_ids": [experiment]}

    def of(route: str) -> str:
        asked = re.sub(r"<(?:\w+:)?(\w+)>|\{(\w+)[^}]*\}", lambda found: str(there.get(found[1] or found[2], 1)), route)
        return f"{asked}?run_uuid={run}&path=x" if route.endswith("/upload-artifact") else asked  # its body is the file

    writes = [(method, route) for method, route in mlflow_routes if method in WRITES]
    asked = {
        f"{method} {route}": stack.ask(f"{stack.mlflow}{of(route)}", method, login, there) for method, route in writes
    }
    left = {
        route: status
        for route, status in asked.items()
        if status not in REFUSED and not re.search(ASKED_BY_POST, f"{route}:")
    }
    assert set(left.values()) <= {400, 404}, left
    assert [route for route in left if not re.search(NOBODY_HAS, route)] == [], "\n".join(map(str, left.items()))
    assert client.get_run(run).data.tags.get("a") is None


def test_a_reader_s_own_requests_on_what_is_there_are_refused_and_a_trainer_s_are_not(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_as(stack, "trainer", monkeypatch)
    experiment = experiment_id(client, EXPERIMENT)
    run = client.create_run(experiment).info.run_id
    location = client.get_run(run).info.artifact_uri.removeprefix("mlflow-artifacts:/")
    version = client.create_model_version(MODEL, f"{client.get_run(run).info.artifact_uri}/x", run).version
    at = {"name": MODEL, "version": version}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("runs/create", "POST", {"experiment_id": experiment}),
        ("runs/log-metric", "POST", {"run_id": run, "key": "miou", "value": 1, "timestamp": 1}),
        ("runs/log-batch", "POST", {"run_id": run, "params": [{"key": "a", "value": "b"}]}),
        ("runs/set-tag", "POST", {"run_id": run, "key": "a", "value": "b"}),
        ("experiments/set-experiment-tag", "POST", {"experiment_id": experiment, "key": "a", "value": "b"}),
        ("model-versions/create", "POST", {"name": MODEL, "source": f"mlflow-artifacts:/{location}", "run_id": run}),
        ("model-versions/set-tag", "POST", at | {"key": "a", "value": "b"}),
        ("model-versions/update", "PATCH", at | {"description": "mine"}),
    ]
    only_gate: list[tuple[str, str, dict[str, Any]]] = [
        ("registered-models/alias", "POST", at | {"alias": "champion"}),
        ("registered-models/alias", "DELETE", {"name": MODEL, "alias": "champion"}),
        ("registered-models/rename", "POST", {"name": MODEL, "new_name": "mine"}),
        ("registered-models/delete", "DELETE", {"name": MODEL}),
        ("users/create", "POST", {"username": "another", "password": "another-password"}),
        ("users/update-admin", "PATCH", {"username": "trainer", "is_admin": True}),
        ("users/update-password", "PATCH", {"username": "gate", "password": "another-password"}),
    ]
    for path, method, body in requests:
        assert stack.mlflow_api(path, method, "reader", body)[0] == 403, path
        assert stack.mlflow_api(path, method, "trainer", body)[0] == 200, path
    for path, method, body in only_gate:
        for user in ("reader", "trainer"):
            assert stack.mlflow_api(path, method, user, body)[0] == 403, (path, user)
    artifact = f"{stack.mlflow}/api/2.0/mlflow-artifacts/artifacts/{location}/x"
    asked = {user: stack.ask(artifact, "PUT", f"{user}:{PASSWORDS[user]}", {}) for user in ("reader", "trainer")}
    assert asked == {"reader": 403, "trainer": 200}
    assert stack.mlflow_api("registered-models/alias", "POST", "gate", at | {"alias": "tried"})[0] == 200
    assert stack.mlflow_api("registered-models/alias", "DELETE", "gate", {"name": MODEL, "alias": "tried"})[0] == 200
    assert stack.mlflow_api("model-versions/delete", "DELETE", "gate", at)[0] == 200


def test_a_reader_makes_nothing_of_its_own_either(stack: Stack, mlflow_routes: list[tuple[str, str]]) -> None:
    login, name = f"reader:{PASSWORDS['reader']}", f"reader-{time.time_ns()}"
    found = stack.mlflow_api(f"experiments/get-by-name?experiment_name={EXPERIMENT}", user="reader")[1]
    body = {"name": name, "secret_name": name, "secret_value": {"api_key": "of-the-tests"}, "provider": "openai"}
    body |= {"experiment_id": found["experiment"]["experiment_id"], "workspace": "default"}
    making = [(method, route) for method, route in mlflow_routes if method == "POST" and route.endswith("/create")]
    assert {route.split("/")[-2] for _, route in making} >= {"experiments", "registered-models", "runs"}
    asked = {route: stack.ask(f"{stack.mlflow}{filled(route)}", method, login, body) for method, route in making}
    assert {route: status for route, status in asked.items() if status not in REFUSED} == {}
    for path in ("experiments/create", "registered-models/create"):
        assert stack.mlflow_api(path, "POST", "reader", {"name": name})[0] == 403, path
        assert stack.mlflow_api(path, "POST", "trainer", {"name": name})[0] == 200, path


@pytest.mark.parametrize("source", ["file:///etc", "/etc", "s3://roadseg/mlflow", "http://127.0.0.1:1/x", "dbfs:/x"])
def test_a_version_cannot_name_files_outside_the_artifact_root(stack: Stack, source: str) -> None:
    status, said = stack.mlflow_api("model-versions/create", "POST", "gate", {"name": MODEL, "source": source})
    assert (status, said["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_mlflow_answers_under_its_own_names_alone(stack: Stack) -> None:
    login = f"admin:{PASSWORDS['admin']}"
    asked = f"{stack.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert stack.ask(asked, login=login) == 200
    assert stack.ask(asked, login=login, Host="evil.example") == 403


def test_no_route_of_prefect_answers_without_its_auth_string(stack: Stack) -> None:
    root = stack.prefect.removesuffix("/api")
    described = json.loads(stack.told(f"{root}/openapi.json")[1])
    routes = [(method.upper(), path) for path, found in described["paths"].items() for method in found]
    routes = [(method, path if path.startswith("/api") else f"/api{path}") for method, path in routes]
    assert len(routes) > 150
    closed = [(method, path) for method, path in routes if path not in OPEN_PREFECT]
    assert let_through(stack, root, closed) == []
    assert let_through(stack, root, closed[::40], "prefect:wrong") == []
    assert stack.ask(f"{stack.prefect}/admin/version", login=PREFECT_LOGIN) == 200


@pytest.mark.parametrize(
    "path",
    ["events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled", "work_pools/x/workers/connect"],
)
@pytest.mark.parametrize("token", [None, "prefect:wrong"])
def test_no_socket_of_prefect_speaks_without_its_auth_string(stack: Stack, path: str, token: str | None) -> None:
    url = f"{stack.prefect.replace('http:', 'ws:')}/{path}"

    def speak() -> None:
        with open_socket(url, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "auth", "token": token}))
            raise AssertionError(f"it spoke: {socket.recv(timeout=20)!r}")

    with pytest.raises((ConnectionClosed, InvalidStatus)) as refused:
        speak()
    if isinstance(refused.value, ConnectionClosed):
        assert refused.value.rcvd
        assert refused.value.rcvd.code in (1002, 1008)
    else:
        assert refused.value.response.status_code in REFUSED
    with pytest.raises((ConnectionClosed, InvalidStatus)), open_socket(url) as socket:
        socket.recv(timeout=20)


def test_database_and_store_ask_for_their_own_logins(stack: Stack) -> None:
    import boto3

    address = f"postgresql://postgres@127.0.0.1:{stack.postgres_port}/mlflow"
    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
        psycopg.connect(address)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address, password="of-the-tests")
    psycopg.connect(address, password=DATABASE_PASSWORD).close()
    stranger = boto3.client(
        "s3", endpoint_url=stack.store, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(stranger.exceptions.ClientError, match=r"AccessDenied|403"):
        stranger.list_objects_v2(Bucket=BUCKET)

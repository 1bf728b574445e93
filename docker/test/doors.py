"""What the stack says to somebody without a login, and where it listens."""

import stack
from client import Client

STORE = (18330, 18333, 18334, 18335)  # S3, master, volume, filer; each one's gRPC listens 10000 above
# Prefect, MLflow, PostgreSQL, model server, worker, proxy's health
INNER = {14200, 15000, 15432, 18000, 18080, 14290, *STORE, *(port + 10000 for port in STORE)}
CLOSED = {
    "prefect": ("/api/admin/version", "/redoc", "/docs/oauth2-redirect"),
    "mlflow": ("/api/2.0/mlflow/experiments/search?max_results=1", "/"),
    "models": ("/", "/version", "/metrics", "/ready", "/docs"),
}
OPEN = {  # as docker/README.md names them
    "prefect": ("/", "/ui-settings", "/docs", "/openapi.json", "/api/health", "/api/ready"),
    "mlflow": ("/health", "/api/3.0/mlflow/server-info"),
    "models": ("/health",),
}


def ask_without_login(client: Client) -> None:
    """401 or 403 but for the few that are named in the README, which answer and tell no secret."""
    closed = [(service, path, None) for service, paths in CLOSED.items() for path in paths]
    for service, path, body in [*closed, ("models", "/predict", b"picture"), ("prefect", "/api/flows/filter", {})]:
        status = client.ask(service, path, body, login=False)[0]
        assert status in (401, 403), f"{service}{path} answers {status} without a login"
    secrets = [secret.rpartition(":")[2].encode() for secret in stack.secrets_of(stack.settings())]
    for service, path in [(service, path) for service, paths in OPEN.items() for path in paths]:
        status, said = client.ask(service, path, login=False)
        assert status == 200, f"{service}{path} answers {status}"
        assert not [secret for secret in secrets if secret in said], f"{service}{path} tells a secret"


def inner_ports() -> list[int]:
    """On the host's network the inner services listen on loopback alone, all of them at ports that are known here."""
    import psutil

    found = {each.laddr for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    inner = {place for place in found if place.port in INNER}
    assert not [place for place in inner if place.ip not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")], inner
    assert {place.port for place in inner} == INNER, f"nothing listens at {INNER - {place.port for place in inner}}"
    return sorted(INNER)

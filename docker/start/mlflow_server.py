"""Bring MLflow's databases up to date, set its accounts as the environment has them, and run its server.

A password is changed by a restart. `default_permission` lets every account read; `worker` and `server` have their parts
by `roadseg people add`'s own code, so that it does not matter who made the model and the experiments.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

ACCOUNTS = {"admin": "MLFLOW_ADMIN_PASSWORD", "worker": "MLFLOW_WORKER_PASSWORD", "server": "MLFLOW_SERVER_PASSWORD"}
ADDRESSES = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_DATABASE_URI")  # with passwords: never an argument
FOLDER = Path(tempfile.gettempdir())
READY = FOLDER / "ready"  # there as soon as the accounts have their parts
CONFIGURATION = """[mlflow]
default_permission = READ
database_uri = {uri}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""  # a check of a password costs 0.2 s of the processor, and a request makes several


def prepare() -> None:
    """Migrate the databases and set the passwords; what fails is said in a line without an address."""
    try:
        migrate(os.environ["MLFLOW_BACKEND_STORE_URI"])
        set_accounts(os.environ["MLFLOW_AUTH_DATABASE_URI"])
    except Exception as error:  # whatever a driver raises, its text may hold the address, and a traceback does
        sys.exit(f"error: MLflow's databases: {type(error).__name__}: {without_passwords(str(error))}")


def migrate(uri: str) -> None:
    """Bring a database of an earlier MLflow up to date; its server makes an empty one, and refuses an old one."""
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine  # as `mlflow db upgrade` does
    from sqlalchemy import inspect

    engine = create_sqlalchemy_engine(uri)
    if inspect(engine).has_table("alembic_version"):
        _upgrade_db(engine)
    engine.dispose()


def set_accounts(uri: str) -> None:
    """Make each account, or give it the password that the environment has."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(uri)
    for name, variable in ACCOUNTS.items():
        if store.has_user(name):
            store.update_user(name, password=os.environ[variable])
        else:
            store.create_user(name, os.environ[variable], is_admin=name == "admin")


def without_passwords(text: str) -> str:
    """The text with stars for each password of the environment."""
    secrets = [os.environ[variable] for variable in ACCOUNTS.values()]
    secrets += [os.environ[name].rpartition("@")[0].rpartition(":")[2] for name in ADDRESSES]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text


def give_parts() -> None:
    """Let the worker decide as a gate, and the model server read; as the administrator, of the server that runs."""
    from roadseg.registry.people import let_in

    let_in("worker", os.environ["MLFLOW_WORKER_PASSWORD"], "gate")
    let_in("server", os.environ["MLFLOW_SERVER_PASSWORD"], "reader")


def wait_for(server: "subprocess.Popen[bytes]", address: str) -> None:
    """Wait until the server answers, or has ended."""
    while server.poll() is None:
        try:
            with urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)


def step(word: str, **variables: str) -> int:
    """Do a step in a process of its own, which takes what it has loaded with it."""
    return subprocess.run([sys.executable, __file__, word], env=os.environ | variables).returncode


def main() -> None:
    """Run the server to its end, or one step."""
    if sys.argv[1:]:
        {"prepare": prepare, "parts": give_parts}[sys.argv[1]]()
        return
    READY.unlink(missing_ok=True)
    if code := step("prepare"):
        sys.exit(code)
    path = FOLDER / "basic_auth.ini"
    path.touch(mode=0o600)
    path.write_text(CONFIGURATION.format(uri=os.environ["MLFLOW_AUTH_DATABASE_URI"]))
    password = os.environ["MLFLOW_ADMIN_PASSWORD"]
    app = os.environ.get("MLFLOW_APP") or "roadseg-auth"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--workers", "1", "--app-name", app],
        env=os.environ | {"MLFLOW_AUTH_CONFIG_PATH": str(path), "MLFLOW_AUTH_ADMIN_PASSWORD": password},
    )
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    address = f"http://127.0.0.1:{os.environ['MLFLOW_PORT']}"
    wait_for(server, address)
    login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": password}
    if step("parts", MLFLOW_TRACKING_URI=address, **login):
        server.terminate()  # a worker without its part would fail later, and say less
        sys.exit(server.wait() or 1)
    READY.touch()
    sys.exit(server.wait())


if __name__ == "__main__":
    main()

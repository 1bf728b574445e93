"""Set the accounts of MLflow as the environment has them, and become its server.

A password is changed by a restart. `default_permission` lets every account read; who makes a model manages it.
"""

import os
import subprocess
import sys
from pathlib import Path

ACCOUNTS = {"admin": "MLFLOW_ADMIN_PASSWORD", "worker": "MLFLOW_WORKER_PASSWORD", "server": "MLFLOW_SERVER_PASSWORD"}
CONFIGURATION = """[mlflow]
default_permission = READ
database_uri = {uri}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
grant_default_workspace_access = false
auth_cache_ttl_seconds = 60
"""  # a check of a password costs 0.2 s of the processor, and a request makes several


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


def migrate(uri: str) -> None:
    """Bring a database of an earlier MLflow up to date; its server makes an empty one, and refuses an old one."""
    from sqlalchemy import create_engine, inspect

    if inspect(create_engine(uri)).has_table("alembic_version"):
        subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", uri], check=True)


def main() -> None:
    """Become `mlflow server`."""
    migrate(os.environ["MLFLOW_BACKEND_STORE_URI"])
    uri = os.environ["MLFLOW_AUTH_DATABASE_URI"]
    set_accounts(uri)
    path = Path("/tmp/basic_auth.ini")
    path.touch(mode=0o600)
    path.write_text(CONFIGURATION.format(uri=uri))
    os.environ |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(path),
        "MLFLOW_AUTH_ADMIN_PASSWORD": os.environ["MLFLOW_ADMIN_PASSWORD"],
    }
    app = os.environ.get("MLFLOW_APP") or "roadseg-auth"
    options = ["--serve-artifacts", "--workers", "1", "--app-name", app]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *options])


if __name__ == "__main__":
    main()

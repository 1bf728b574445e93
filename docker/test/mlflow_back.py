"""Take MLflow's database one migration back, in its container; it has a command for the way forward alone."""

import os

from alembic import command
from mlflow.store.db.utils import _get_alembic_config, create_sqlalchemy_engine

engine = create_sqlalchemy_engine(os.environ["MLFLOW_BACKEND_STORE_URI"])
config = _get_alembic_config("")
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.downgrade(config, "-1")

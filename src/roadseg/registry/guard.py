"""MLflow's login with one rule more: who may EDIT a model registers versions, who may MANAGE it moves aliases.

`mlflow server --app-name roadseg-auth` serves it in the place of `basic-auth`, whose roles cannot tell the two apart.
Trainers then have EDIT on model `roadseg`, and the gate's user MANAGE.
"""

from typing import Any

DEMO = "/mlflow/demo/"  # of MLflow: it makes an experiment for whoever asks, a reader too
MOVING = ("/registered-models/alias", "/registered-models/rename")  # a new name takes the aliases away too


def create_app(app: Any = None) -> Any:
    """The server's application, for the entry point `mlflow.app`."""
    from mlflow.server import app as served  # late: only the server has them
    from mlflow.server import auth

    flask_app = served if app is None else app
    guarded = auth.create_app(flask_app)

    def refuse() -> Any:
        from flask import request

        rule = request.url_rule
        if request.method == "GET" or rule is None or not (rule.rule.endswith(MOVING) or DEMO in rule.rule):
            return None
        if auth.sender_is_admin() or (DEMO not in rule.rule and auth.validate_can_manage_registered_model()):
            return None
        return auth.make_forbidden_response()

    flask_app.before_request(refuse)  # after the login, which was asked for before it
    return guarded

"""MLflow's login with two rules more: who may MANAGE a model moves its aliases, who may EDIT ours makes new things.

`mlflow server --app-name roadseg-auth` serves it in the place of `basic-auth`, whose roles cannot tell registering from
moving, and under which whoever has a login, a reader too, may make experiments and models, and then manages them.
Trainers have EDIT on model `roadseg`, and the gate's user MANAGE.
"""

from typing import Any

from roadseg.registry.versions import MODEL

DEMO = "/mlflow/demo/"  # of MLflow: it makes an experiment for whoever asks, a reader too
MOVING = ("/registered-models/alias", "/registered-models/rename")  # a new name takes the aliases away too
MAKING = "/create"  # experiments, models, gateways' endpoints and secrets, ...


def create_app(app: Any = None) -> Any:
    """The server's application, for the entry point `mlflow.app`."""
    from mlflow.server import app as served  # late: only the server has them
    from mlflow.server import auth

    flask_app = served if app is None else app
    guarded = auth.create_app(flask_app)

    def refuse() -> Any:
        from flask import request

        rule = request.url_rule
        if request.method == "GET" or rule is None:
            return None
        if DEMO in rule.rule:
            allowed = auth.sender_is_admin()
        elif rule.rule.endswith(MOVING):
            allowed = auth.validate_can_manage_registered_model() or auth.sender_is_admin()
        elif rule.rule.endswith(MAKING):
            allowed = auth._get_registered_model_permission(MODEL).can_update or auth.sender_is_admin()
        else:
            return None
        return None if allowed else auth.make_forbidden_response()

    flask_app.before_request(refuse)  # after the login, which was asked for before it
    return guarded

"""Who may do what on a team's MLflow: logins by part, with the permissions that the part needs."""

import warnings
from typing import Any, Literal, get_args

from mlflow import MlflowClient, MlflowException

from roadseg.contracts.errors import UsageError
from roadseg.registry.ledger import EXPERIMENT as LEDGER
from roadseg.registry.versions import ABSENT, MODEL
from roadseg.tracking.data_page import REFUSALS
from roadseg.tracking.store import EXPERIMENT, connect, experiment_id

Part = Literal["reader", "trainer", "gate"]
PARTS = get_args(Part)
THERE = "RESOURCE_ALREADY_EXISTS"  # MLflow's answer to a permission that is granted twice
SHORTEST = 12  # characters of a password, as MLflow asks
# by part: permission on the model, on experiments of trainings and refusals, and on the ledger; a reader has the
# server's default_permission, which is READ
GRANTS: dict[Part, tuple[str, str, str] | None] = {
    "reader": None,
    "trainer": ("EDIT", "EDIT", "READ"),
    "gate": ("MANAGE", "EDIT", "EDIT"),
}


def let_in(name: str, password: str, part: Part) -> bool:
    """Give a person or a service a login, and its part; the model and the experiments are made where they lack.

    Whoever makes an experiment may manage it, so the administrator makes them before the first trainer does.

    Args:
        name: of the login; one that is there keeps its password.
        password: of a new one.
        part: what it may do.

    Returns:
        Whether the login is new.

    Raises:
        UsageError: MLflow has no logins, or this is not its administrator.
    """
    client, uri = connect(), str(MlflowClient().tracking_uri)
    if not uri.startswith(("http://", "https://")):
        raise UsageError("logins are a server's: set MLFLOW_TRACKING_URI and the administrator's login")
    people = _people(uri)
    new = not _is_there(people, name)
    if new:
        people.create_user(name, password)
    _make_model(client)
    model, work, ledger = GRANTS[part] or ("", "", "")
    grants = {("registered_model", MODEL): model, ("experiment", experiment_id(client, LEDGER)): ledger}
    grants |= {("experiment", experiment_id(client, each)): work for each in (EXPERIMENT, REFUSALS)}
    for (kind, which), permission in grants.items():
        _set(people, name, kind, which, permission)
    return new


def _people(uri: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client loads the whole server, which warns of its own imports
        from mlflow.server import get_app_client

        return get_app_client("basic-auth", tracking_uri=uri)


def _is_there(people: Any, name: str) -> bool:
    try:
        people.get_user(name)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return False
    return True


def _make_model(client: MlflowClient) -> None:
    try:
        client.get_registered_model(MODEL)
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        client.create_registered_model(MODEL)


def _set(people: Any, name: str, kind: str, which: str, permission: str) -> None:
    """Let a permission, or none where it is empty, take the place of the one that there is."""
    try:
        if permission:
            people.grant_user_permission(name, kind, which, permission)
            return
    except MlflowException as error:
        if error.error_code != THERE:
            raise
        if people.get_user_permission(name, kind, which).permission == permission:
            return  # else a worker would be without it for a moment at each start of its server
    try:
        people.revoke_user_permission(name, kind, which)
    except MlflowException as error:  # it had none
        if error.error_code != ABSENT:
            raise
    if permission:
        people.grant_user_permission(name, kind, which, permission)

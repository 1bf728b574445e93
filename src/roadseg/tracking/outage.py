"""What a store of MLflow that does not do its work says, in one line; imports no MLflow."""

import os
import sys
from http import HTTPStatus

from roadseg.contracts.errors import RoadsegError

LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
REMEDIES = {
    401: f"it wants a login: {LOGIN}",
    403: f"this login, or this host name, is not let in: {LOGIN}, or ask whoever runs it (--allowed-hosts)",
    404: "that is no MLflow server: look at MLFLOW_TRACKING_URI",
    **dict.fromkeys((502, 503, 504), "what stands before MLflow does not reach it: start MLflow, then try again"),
}
REASONS = "connection refused", "timed out", "name or service not known", "certificate verify failed"
UNREACHED = "start it, or set MLFLOW_TRACKING_URI; unset it is MLflow in home"


def refused(uri: str, status: int) -> RoadsegError:
    """An answer that is none: address, status, and what to do."""
    name = HTTPStatus(status).phrase if status in {known.value for known in HTTPStatus} else "unknown"
    remedy = REMEDIES.get(status, "look at the server's log")
    return RoadsegError(f"MLflow at {address(uri)} answers {status} ({name}): {remedy}")


def unreached(uri: str, error: object) -> RoadsegError:
    """No answer at all, in the words of whoever asked where they are none that people know."""
    said = " ".join(str(error).split())
    reason = next((known for known in REASONS if known in said.lower()), said[:200])
    return RoadsegError(f"MLflow at {address(uri)} does not answer ({reason}): {UNREACHED}")


def address(uri: str) -> str:
    """An address without the password that it may hold."""
    scheme, found, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else uri


def told(error: BaseException) -> RoadsegError | None:
    """The error as a person can act on it, where it is MLflow's or of the way to it; else None."""
    if isinstance(error, RoadsegError):
        return error
    mlflow, requests = sys.modules.get("mlflow"), sys.modules.get("requests")
    theirs = [module.MlflowException for module in (mlflow,) if module]
    theirs += [module.RequestException for module in (requests,) if module]
    if not isinstance(error, tuple(theirs)):
        return None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or ""
    status = getattr(error, "get_http_status_code", int)()
    if status in (401, 403) and uri.startswith(("http://", "https://")):  # a login that may read and not write
        return refused(uri, status)
    said = " ".join(str(error).split())
    return RoadsegError(f"MLflow: {said[:500]}; `roadseg doctor` looks at the store")

"""A login for the server: a token that every request but `/health` has to bring, where one is set."""

import base64
import binascii
import hmac
import os

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from roadseg.contracts.errors import UsageError

VARIABLE = "ROADSEG_SERVE_TOKEN"
SHORTEST = 16  # characters; fewer can be guessed
OPEN = frozenset({"/health"})  # says only that the process lives
ASKED = {
    "error": "no login",
    "what_to_do": "send the token as `Authorization: Bearer TOKEN`, or as the password of any user",
}


class Login:
    """An application behind the token; what has none is answered with 401 before its body is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """Guard `app`.

        Raises:
            UsageError: the token is too short.
        """
        if len(token) < SHORTEST:
            raise UsageError(
                f"{VARIABLE} has fewer than {SHORTEST} characters: `openssl rand -hex 32` makes a good one"
            )
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or ask for the login."""
        is_open = scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in OPEN)
        if is_open or hmac.compare_digest(_given(Headers(scope=scope).get("authorization", "")), self._token):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = {"WWW-Authenticate": 'Basic realm="roadseg"', "Connection": "close"}
            await JSONResponse(ASKED, 401, headers)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


def behind_login(app: ASGIApp) -> ASGIApp:
    """The application behind the token in `ROADSEG_SERVE_TOKEN`; as it is where there is none.

    Raises:
        UsageError: see `Login`.
    """
    token = os.environ.get(VARIABLE)
    return Login(app, token) if token else app


def _given(authorization: str) -> bytes:
    """The token that a header brings; empty where it brings none."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""

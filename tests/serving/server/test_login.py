"""With a token set, the server of masks answers nobody without it."""

import asyncio
import base64
from typing import Any, cast

import httpx
import pytest

from roadseg.contracts.errors import UsageError
from roadseg.serving.server.app import make_app
from roadseg.serving.server.login import VARIABLE, behind_login

TOKEN = "a-token-of-the-tests-only"


class Reached(Exception):
    """A request came to what is behind the login."""


class Behind:
    def __getattr__(self, name: str) -> object:
        raise Reached


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(VARIABLE, TOKEN)
    return behind_login(make_app(cast(Any, Behind())))


def ask(app: Any, method: str, path: str, login: str = "") -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        headers = {"Authorization": login} if login else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(asked())


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def test_every_route_of_the_openapi_but_health_asks_for_the_token(app: Any) -> None:
    described = ask(app, "GET", "/openapi.json", f"Bearer {TOKEN}").json()
    routes = [(method.upper(), path) for path, found in described["paths"].items() for method in found]
    assert ("POST", "/predict") in routes
    answers = {
        (method, path): ask(app, method, path, login).status_code
        for method, path in [
            *routes,
            ("GET", "/openapi.json"),
            ("GET", "/docs"),
            ("GET", "/health/"),
            ("GET", "//health"),
        ]
        for login in ("", "Bearer wrong", "Bearer ", basic("anybody", ""), "Basic ?", "Token x")
    }
    assert answers.pop(("GET", "/health")) == 200
    assert set(answers.values()) == {401}
    refused = ask(app, "GET", "/")
    assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert TOKEN not in refused.text


@pytest.mark.parametrize("login", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic("anybody", TOKEN), basic("", TOKEN)])
def test_with_the_token_a_request_comes_through(app: Any, login: str) -> None:
    with pytest.raises(Reached):
        ask(app, "GET", "/version", login)


def test_without_a_token_set_all_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Reached):
        ask(behind_login(make_app(cast(Any, Behind()))), "GET", "/version")


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret")
    with pytest.raises(UsageError, match="fewer than 16 characters"):
        behind_login(make_app(cast(Any, Behind())))

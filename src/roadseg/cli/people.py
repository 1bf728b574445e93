"""`roadseg people`: who may do what on a team's MLflow."""

import sys
from typing import Annotated, Literal

import typer

from roadseg.contracts.errors import UsageError

app = typer.Typer(help="Say who may do what on a team's MLflow.", no_args_is_help=True)


@app.callback()
def people() -> None:
    """Say who may do what on a team's MLflow; as its administrator."""


@app.command("add")
def add_person(
    name: Annotated[str, typer.Argument(help="Of the login.")],
    part: Annotated[
        Literal["reader", "trainer", "gate"],
        typer.Option(
            "--as", help="reader looks; trainer publishes and registers; gate also moves candidate and champion."
        ),
    ],
) -> None:
    """Give somebody a login on MLflow and the permissions of a part; a login that is there keeps its password.

    The password is asked for, or read from standard input. Set `MLFLOW_TRACKING_URI` and the administrator's
    `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.

    Example: `roadseg people add meera --as trainer`
    """
    from roadseg.registry.people import SHORTEST, let_in

    asked = sys.stdin.isatty()
    password = typer.prompt("password", hide_input=True, confirmation_prompt=True) if asked else sys.stdin.readline()
    if len(password := password.strip()) < SHORTEST:
        raise UsageError(f"the password has fewer than {SHORTEST} characters: give a longer one on standard input")
    new = let_in(name, password, part)
    print(f"{name} is {part} now{'' if new else ', with the password that it had'}")

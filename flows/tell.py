"""Tell people what a run did: a webhook, such as Slack's, and e-mail, each saved once as a block in Prefect.

`python -m flows.tell --webhook URL --mail mailtos://...` saves them; nobody is told where none is saved.
"""

import html
import logging
import sys
from collections.abc import Callable
from contextvars import copy_context
from threading import Thread
from time import monotonic
from typing import Annotated, Literal, TypeVar

if __name__ == "__main__":
    from flows.ready import make_ready

    make_ready()

import typer
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook
from prefect.exceptions import MissingContextError, ObjectNotFound
from prefect.logging import get_logger, get_run_logger

from flows.services.server import prefect_server
from roadseg.contracts.errors import DEFECT, RoadsegError, UsageError
from roadseg.contracts.files import home

Saved = TypeVar("Saved", bound=Block)
Kind = Literal[
    "failed",
    "refused",
    "held",
    "promoted",
    "rejected",
    "rolled back",
    "drift",
    "asked",
    "withdrawn",
    "crashed",
    "picked",
]
WEBHOOK, MAIL = "roadseg-webhook", "roadseg-mail"  # names of the blocks
PATIENCE = 8.0  # seconds for all receivers together; a run never waits longer
SOCKET = 5.0  # seconds for one answer
LONGEST = 1500  # characters of a reason: a thousand refused files are on the page


def tell(kind: Kind, title: str, *, reason: str = "", score: str = "", link: str = "") -> None:
    """Send a message to every saved receiver; whatever goes wrong is a line in the log, and delays no run for long.

    Args:
        kind: what happened.
        title: one line: which deployment, which version.
        reason: why, as the run says it.
        score: of the model, where there is one.
        link: of the run or the page, where there is one.
    """
    try:
        head = " ".join(f"roadseg {kind}: {title}".split())
        for name, problem in deliver(head, message(reason, score, link)).items():
            if problem:
                _log().warning("%s is not told: %s", name, problem)
    except Exception as error:
        _log().warning("nobody is told: %s", type(error).__name__)


def message(reason: str, score: str, link: str) -> str:
    """What stands below the headline."""
    shown = reason if len(reason) <= LONGEST else f"{reason[:LONGEST]} ..."
    return "\n".join(filter(None, (shown, score and f"score: {score}", link)))


def deliver(head: str, body: str) -> dict[str, str]:
    """Send to all receivers at once.

    Returns:
        What went wrong by block, empty text where it was sent; blocks that nobody saved are left out.
    """
    problems: dict[str, str] = {}
    threads = [
        Thread(target=copy_context().run, args=(_try, name, send, head, body, problems), daemon=True)
        for name, send in RECEIVERS.items()  # the context knows where Prefect's server is
    ]
    for thread in threads:
        thread.start()
    deadline = monotonic() + PATIENCE
    for name, thread in zip(RECEIVERS, threads, strict=True):
        thread.join(max(0.0, deadline - monotonic()))
        if thread.is_alive():
            problems[name] = f"no answer within {PATIENCE:.0f} s"
    return dict(problems)


def _try(name: str, send: Callable[[str, str], bool], head: str, body: str, problems: dict[str, str]) -> None:
    try:
        if send(head, body):
            problems[name] = ""
    except RoadsegError as error:
        problems[name] = str(error)
    except Exception as error:  # its text may hold the address, which is a secret
        problems[name] = type(error).__name__


def _post(head: str, body: str) -> bool:
    """Send Slack's payload, which Mattermost and others take too; False where no webhook is saved."""
    import httpx  # late, as Prefect does

    block = _saved(Webhook, WEBHOOK)
    if block is None:
        return False
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the address, which is a secret
    text = html.escape(
        f"*{head}*\n{body}", quote=False
    )  # Slack reads <!channel> in the name of a file as a call to all
    answer = httpx.request(
        block.method,
        block.url.get_secret_value(),
        json={"text": text},
        headers=block.headers.get_secret_value(),
        verify=block.verify,
        timeout=SOCKET,
    )
    if answer.is_error:
        raise RoadsegError(f"the webhook answers {answer.status_code}")
    return True


def _mail(head: str, body: str) -> bool:
    """Send an e-mail; False where no address is saved."""
    import apprise  # late: it loads a hundred services

    block = _saved(Secret, MAIL)
    if block is None:
        return False
    receiver = apprise.Apprise.instantiate(str(block.get()), suppress_exceptions=True)
    if receiver is None:
        raise RoadsegError("its address is none that apprise knows")
    receiver.socket_connect_timeout = SOCKET
    receiver.notify_format = apprise.NotifyFormat.TEXT  # as HTML it loses what stands in angle brackets
    if not receiver.notify(body=body or head, title=head, body_format=apprise.NotifyFormat.TEXT):
        raise RoadsegError("the mail server did not take it")
    return True


RECEIVERS: dict[str, Callable[[str, str], bool]] = {WEBHOOK: _post, MAIL: _mail}


def _saved(kind: type[Saved], name: str) -> Saved | None:
    try:
        found = kind.load(name)
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise
    assert isinstance(found, kind)  # a coroutine only where a loop runs
    return found


def _log() -> "logging.Logger | logging.LoggerAdapter[logging.Logger]":
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("roadseg.tell")


def save(webhook: str, mail: str) -> None:
    """Save the receivers that are given in Prefect, in place of those before.

    Raises:
        UsageError: an address is none.
    """
    import apprise

    if webhook and not webhook.startswith(("http://", "https://")):
        raise UsageError("--webhook: give an address that starts with https://")
    if mail and apprise.Apprise.instantiate(mail, suppress_exceptions=True) is None:
        raise UsageError("--mail: give an address of apprise, such as mailtos://USER:PASSWORD@HOST?from=...&to=...")
    if webhook:
        Webhook(url=webhook).save(WEBHOOK, overwrite=True)
    if mail:
        Secret(value=mail).save(MAIL, overwrite=True)


def command(
    webhook: Annotated[str, typer.Option(envvar="ROADSEG_WEBHOOK", help="Slack's, Mattermost's or another.")] = "",
    mail: Annotated[
        str, typer.Option(envvar="ROADSEG_MAIL", help="Such as mailtos://USER:PASSWORD@HOST?from=...&to=...")
    ] = "",
    test: Annotated[bool, typer.Option("--test", help="Send a message to all that are saved.")] = False,
) -> None:
    """Save whom roadseg tells what its runs did, in the Prefect that PREFECT_API_URL names, else in home's.

    The variables keep addresses out of the shell's history. In Prefect's pages both can be changed and deleted.

    Example: `ROADSEG_WEBHOOK=https://... python -m flows.tell --test`
    """
    if not (webhook or mail or test):
        raise UsageError("give --webhook, --mail or --test")
    with prefect_server(home() / "prefect-server.log"):
        save(webhook, mail)
        told = deliver("roadseg test", "So a run tells what it did.") if test else {}
    if test and not told:
        raise UsageError("no receiver is saved: give --webhook or --mail")
    for name, problem in told.items():
        print(f"{name}: {problem or 'told'}")
    if any(told.values()):
        raise typer.Exit(DEFECT)


def main() -> None:
    """Save, test, and say in one line what is wrong."""
    try:
        typer.run(command)
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

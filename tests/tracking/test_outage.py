"""Each verb says of a server that is dead, forbids or is slow what it is, in one line and within seconds."""

import http.server
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import free_port
from trees import run

from roadseg.contracts.errors import RoadsegError
from roadseg.doctor.services import services
from roadseg.tracking import store
from roadseg.tracking.follow import complain
from roadseg.tracking.outage import told

VERBS = {
    "publish": ["publish"],
    "register": ["register"],
    "promote": ["promote"],
    "models list": ["models", "list"],
    "models init": ["models", "init", "champion"],
    "predict": ["predict", "data/raw/leftImg8bit/val", "-o", "out"],
    "report model": ["report", "model", "--no-pictures"],
}
STATUSES = {401: "wants a login", 403: "--allowed-hosts", 502: "does not reach it", 404: "no MLflow", 500: "log"}
Serve = Callable[[int], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server on loopback that answers everything with one status; 0: takes connections and says nothing."""
    servers: list[http.server.ThreadingHTTPServer] = []
    over = threading.Event()

    def start(status: int) -> str:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not status:
                    over.wait(60)
                    return
                body = b"<html>hello</html>"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None: ...

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        servers[-1].daemon_threads = True
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def dead() -> str:
    return f"http://127.0.0.1:{free_port()}"


def ask(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """What connecting says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RoadsegError) as caught:
        store.connect()
    return str(caught.value)


@pytest.mark.parametrize("status", [*STATUSES, 200])
def test_an_answer_that_is_none_is_told_with_status_and_remedy(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    uri = serve(status)
    said = ask(monkeypatch, uri.replace("//", "//me:secret@"))
    assert f"MLflow at {uri} answers {404 if status == 200 else status} (" in said
    assert STATUSES.get(status, "no MLflow") in said
    assert "secret" not in said
    found = next(services())
    assert f"{uri} answers {404 if status == 200 else status} (" in found.problem
    assert STATUSES.get(status, "no MLflow") in found.problem


def test_silence_is_told_in_time(serve: Serve, dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.5)
    start = time.monotonic()
    assert f"{dead} does not answer (connection refused)" in ask(monkeypatch, dead)
    assert "does not answer (timed out)" in ask(monkeypatch, serve(0))
    assert time.monotonic() - start < 5


QUICK = {("dead", "promote"), ("forbidding", "models list")}
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.soak])
    for case in itertools.product(["dead", "forbidding", "slow"], VERBS)
]


@pytest.mark.parametrize(("trouble", "verb"), CASES)
def test_every_verb_ends_with_one_line_within_seconds(
    finished: Path, serve: Serve, dead: str, trouble: str, verb: str
) -> None:
    uri = {"dead": lambda: dead, "forbidding": lambda: serve(401), "slow": lambda: serve(0)}[trouble]()
    start = time.monotonic()
    done = run(finished, sys.executable, "-m", "roadseg", *VERBS[verb], check=False, MLFLOW_TRACKING_URI=uri)
    assert time.monotonic() - start < 60
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stderr.splitlines()[-1].startswith(f"error: MLflow at {uri} ")
    assert "Traceback" not in done.stderr


def test_what_mlflow_raises_later_is_one_line_too() -> None:
    from mlflow import MlflowException

    said = told(MlflowException("Model not found\nin 3 places"))
    assert "MLflow: Model not found in 3 places" in str(said)
    assert told(ValueError("ours")) is None
    assert os.environ.get("MLFLOW_TRACKING_URI") is None


def test_a_follower_says_an_outage_once(capfd: pytest.CaptureFixture[str]) -> None:
    said: set[str] = set()
    for reason in ("dead", "dead", "forbids", "dead"):
        complain(RoadsegError(reason), said)
    captured = capfd.readouterr()
    assert captured.out.count("the training goes on") == 2
    assert captured.err == ""

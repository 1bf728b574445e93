"""Each verb says of a server that is dead, forbids or is slow what it is, in one line and within seconds."""

import http.server
import itertools
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import free_port
from trees import ROOT, run

from roadseg.contracts.errors import RoadsegError
from roadseg.doctor.services import services
from roadseg.tracking import store
from roadseg.tracking.follow import complain
from roadseg.tracking.outage import refused, told, unreached

CHAMPION = "models:/roadseg@champion"
VERBS = {  # those that cannot do without MLflow
    "publish": ["publish"],
    "register": ["register"],
    "promote": ["promote"],
    "promote a version": ["promote", "1", "--dry-run"],
    "models list": ["models", "list"],
    "models init": ["models", "init", "champion"],
    "models init a version": ["models", "init", "1", "--dry-run"],
    "predict": ["predict", "data/raw/leftImg8bit/val", "-o", "out"],
    "labels": ["labels", "--model", CHAMPION],
    "report model": ["report", "model", "--no-pictures"],
}
MASKS = "data/raw/gtFine/val"
OTHERS = {  # those that do without it, and their exit codes
    "doctor": (0, ["doctor", "--json"]),
    "params": (0, ["params"]),
    "models describe": (0, ["models", "describe", "small"]),
    "slice": (0, ["slice", "drive"]),
    "score": (0, ["score", MASKS, MASKS, "--report", "out/score.html", "--against", MASKS]),
    "predict": (0, ["predict", "data/raw/leftImg8bit/val", "-o", "out", "--model", "models/bundle"]),
    "labels": (0, ["labels", "--no-pictures"]),
    "models init": (0, ["models", "init", "models/bundle", "--dry-run"]),
    "report data": (0, ["report", "data"]),
    "report model": (0, ["report", "model", "--no-pictures", "--against", "none"]),
    "report search": (2, ["report", "search"]),  # there are no experiments
    "data synthetic": (0, ["data", "synthetic", "out/scenes", "--train", "1", "--val", "1", "--test", "0"]),
    "data import": (2, ["data", "import", "absent.zip"]),
    "data import --add": (0, ["data", "import", "data/raw", "--add"]),
    "data quarantine": (0, ["data", "quarantine"]),
    "data restore": (2, ["data", "restore", "absent"]),
    "scan": (0, ["scan"]),
    "validate": (0, ["validate"]),
    "preprocess": (0, ["preprocess"]),
    "train": (0, ["train"]),
    "evaluate": (0, ["evaluate"]),
}
TROUBLES = ["dead", "401", "403", "502", "slow"]
STATUSES = {401: "wants a login", 403: "--allowed-hosts", 502: "does not reach it", 404: "no MLflow", 500: "log"}
SECONDS = 60.0  # on a busy machine; a silent server is waited for ten
FIRST = "/api/2.0/mlflow/experiments/search"  # what every verb asks first
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server on loopback that answers everything with one status; 0: takes connections and says nothing.

    With `later`, only what comes after the first question.
    """
    servers: list[http.server.ThreadingHTTPServer] = []
    over = threading.Event()

    def start(status: int, later: bool = False) -> str:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not status:
                    over.wait(60)
                    return
                first = later and self.path.startswith(FIRST)
                body = b"{}" if first else b"<html>hello</html>"
                self.send_response(200 if first else status)
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


QUICK = {("dead", "promote"), ("401", "models list")}
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.soak])
    for case in itertools.product(TROUBLES, VERBS)
]


@pytest.fixture
def trouble(request: pytest.FixtureRequest, serve: Serve, dead: str) -> tuple[str, str]:
    """A server's address, and what is to be said of it."""
    if request.param == "dead":
        return dead, str(unreached(dead, "connection refused"))
    if request.param == "slow":
        return (uri := serve(0)), str(unreached(uri, "timed out"))
    return (uri := serve(int(request.param))), str(refused(uri, int(request.param)))


@pytest.mark.parametrize(("trouble", "verb"), CASES, indirect=["trouble"])
def test_every_verb_ends_with_one_line_within_seconds(finished: Path, trouble: tuple[str, str], verb: str) -> None:
    uri, said = trouble
    start = time.monotonic()
    done = run(finished, sys.executable, "-m", "roadseg", *VERBS[verb], check=False, MLFLOW_TRACKING_URI=uri)
    assert time.monotonic() - start < SECONDS
    assert (done.returncode, done.stderr.splitlines()) == (1, [f"error: {said}"]), done.stdout


@pytest.mark.parametrize("status", [403, pytest.param(502, marks=pytest.mark.soak)])
def test_a_server_that_fails_after_its_first_answer_is_one_line_in_time(
    tmp_path: Path, serve: Serve, status: int
) -> None:
    uri = serve(status, later=True)
    start = time.monotonic()
    done = run(ROOT, "roadseg", "models", "list", check=False, MLFLOW_TRACKING_URI=uri, ROADSEG_HOME=str(tmp_path))
    assert time.monotonic() - start < SECONDS + 30
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    if status == 403:
        assert line == f"error: {refused(uri, status)}"
    else:
        assert line.startswith(f"error: MLflow: API request to {uri}/")
        assert "too many 502 error responses" in line


@pytest.fixture(scope="session")
def beside(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that verbs may change, none of them what another needs."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("beside") / "tree", symlinks=True))


@pytest.mark.soak
@pytest.mark.parametrize("trouble", ["dead", "403", "slow"], indirect=True)
@pytest.mark.parametrize("verb", OTHERS)
def test_what_needs_no_server_works_beside_one_in_trouble(beside: Path, trouble: tuple[str, str], verb: str) -> None:
    shutil.rmtree(beside / "out", ignore_errors=True)
    shutil.rmtree(beside / ".roadseg", ignore_errors=True)  # else the training would be known, and not begin
    (uri, said), (code, words) = trouble, OTHERS[verb]
    settings = {"MLFLOW_TRACKING_URI": uri, "ROADSEG_PAGES": "on"}
    start = time.monotonic()
    done = run(beside, sys.executable, "-m", "roadseg", *words, check=False, **settings)
    assert time.monotonic() - start < 3 * SECONDS
    shown = done.stdout + done.stderr
    assert done.returncode == code, shown
    assert "Traceback" not in shown
    assert shown.count("error: ") == (code != 0)
    if verb == "train":
        assert shown.count(f"warning: {said}; the training goes on") == 1
    if verb == "doctor":
        assert said in shown


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

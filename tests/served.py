"""A server of masks on loopback, the versions that it may serve, and clients of every kind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from bundles import convolution
from mlflow import MlflowClient
from PIL import Image

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.registry.versions import MODEL

PATIENCE = 180.0  # seconds for whatever a busy machine does


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> np.ndarray:
        return np.asarray(Image.open(BytesIO(self.body), formats=["PNG"]))


class Served:
    """A running `roadseg serve`; `log` is all that it said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log
        line = waited(lambda: next((each for each in self.log.splitlines() if "listens at" in each), ""), self)
        self.port = int(line.rpartition(":")[2])
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def predict(self, picture: bytes, accept: str = "image/png") -> Answer:
        return self.send("POST", "/predict", picture, Accept=accept)

    def ready(self) -> bool:
        return self.get("/ready").status == 200

    def version(self) -> Any:
        return self.get("/version").json

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def waited(look: Callable[[], Any], served: Served | None = None, patience: float = PATIENCE) -> Any:
    """What a look finds, as soon as it finds something."""
    end = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < end, served and served.log
        assert served is None or served.process.poll() is None, served.log
        time.sleep(0.05)
    return found


@contextmanager
def serving(folder: Path, *options: str, home: Path | None = None) -> Iterator[Served]:
    """Start a server with a home in `folder`; it is ready, and ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "ROADSEG_HOME": str(home or folder / "home")}
    for name in ("MLFLOW_TRACKING_URI", "ROADSEG_RECEIPT"):
        environment.pop(name, None)
    log = folder / "serve.log"
    with log.open("wb") as opened:
        command = [sys.executable, "-m", "roadseg", "serve", "--port", "0", *options]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=opened, stderr=opened)
    try:
        served = Served(process, log)
        waited(served.ready, served)
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()


def network(folder: Path, height: int = 64, width: int = 128) -> Bundle:
    """The small network with random weights."""
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS

    table = ClassTable.find("idd-level1")
    model = deploy(MODELS["small"].build(table.count), MODELS["small"], table.count)
    card = {"height": height, "width": width, "stride": 16, "classes": table.content, "output": "logits"}
    write_bundle(folder, model, card, SAMPLES.empty_table())
    return Bundle.open(folder)


def shifted(folder: Path, by: int) -> Bundle:
    """A painter that says the class `by` ids after the one whose colour a pixel has."""
    table = ClassTable.find("idd-level1")
    colours = np.roll(table.palette[: table.count] / 255, by, 0)
    return convolution(folder, table, 2 * colours.T[None, None], -(colours**2).sum(1))


def enter(client: MlflowClient, bundle: Bundle, **tags: str) -> int:
    """Make a version of the registered model; its number."""
    experiment = client.get_experiment_by_name("served") or client.get_experiment(
        client.create_experiment(
            "served", (bundle.folder.parent / "artifacts").as_uri()
        )  # else below the test's folder
    )
    logged = client.create_logged_model(experiment.experiment_id, "model")
    client.log_model_artifacts(logged.model_id, str(bundle.folder), "artifacts/bundle")
    client.finalize_logged_model(logged.model_id, "READY")
    about = {"weights": bundle.card["weights"]} | tags
    return int(mlflow.register_model(f"models:/{logged.model_id}", MODEL, tags=about).version)


def picture(seed: int, height: int = 90, width: int = 120, form: str = "PNG", **options: Any) -> bytes:
    """A picture of blocks in the classes' colours, with noise."""
    rng = np.random.default_rng(seed)
    table = ClassTable.find("idd-level1")
    ids = rng.integers(0, table.count, (9, 12))
    ids = np.repeat(np.repeat(ids, -(-height // 9), 0), -(-width // 12), 1)[:height, :width]
    pixels = (table.palette[ids] + rng.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def copy_store(store: Path, home: Path) -> str:
    """An empty database of MLflow in a home; its address."""
    (home / "mlflow").mkdir(parents=True)
    return f"sqlite:///{shutil.copy2(store, home / 'mlflow')}"

"""The server under load: what it adds to the bare model, what it reaches, and what breaks it.

Clients run on the same machine. The models are the default one with random weights, on which speed does not depend.

Example: `python -m benchmarks.serving 60` lets hostile clients at it for so many seconds, and moves the alias three
times as long.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import psutil
from PIL import Image

from benchmarks.clients import Check, Tally, honest, hostile
from benchmarks.machine import machine
from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.imaging.pixels import decode_image
from roadseg.pipeline.environment import settle
from roadseg.synthetic.dataset import generate

TABLE = ClassTable.find("idd-level1")
ROUNDS, LONE, PICTURES, VERSIONS = 3, 200, 48, 3
SIZE = (320, 227)
MOVE = 7.0  # seconds between moves of the alias


def pictures(folder: Path) -> list[bytes]:
    """Generated scenes as JPEG files of the size of IDD Lite's."""
    generate(folder, train=0, val=PICTURES, test=0, seed=0)
    found = []
    for path in sorted((folder / "leftImg8bit").rglob("*.jpg"))[:PICTURES]:
        stream = io.BytesIO()
        with Image.open(path) as picture:
            picture.convert("RGB").resize(SIZE).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def enter(folder: Path) -> dict[int, Bundle]:
    """Versions of the registered model, whose champion is the first."""
    import keras
    import mlflow

    from roadseg.registry.versions import CHAMPION, MODEL
    from roadseg.tracking.store import connect
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS

    client, bundles = connect(), {}
    experiment = client.create_experiment("serving", (folder / "artifacts").as_uri())  # else in the current folder
    for seed in range(VERSIONS):
        keras.utils.set_random_seed(seed)
        model = deploy(MODELS["small"].build(TABLE.count), MODELS["small"], TABLE.count)
        card = {"height": 128, "width": 256, "stride": 16, "classes": TABLE.content, "output": "logits"}
        write_bundle(folder / str(seed), model, card, SAMPLES.empty_table())
        bundle = Bundle.open(folder / str(seed))
        logged = client.create_logged_model(experiment, "model")
        client.log_model_artifacts(logged.model_id, str(bundle.folder), "artifacts/bundle")
        client.finalize_logged_model(logged.model_id, "READY")
        tags = {"weights": bundle.card["weights"]}
        bundles[int(mlflow.register_model(f"models:/{logged.model_id}", MODEL, tags=tags).version)] = bundle
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    return bundles


class Server:
    """A running `roadseg serve`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "serve.log"
        start = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "roadseg", "serve", "--port", "0"], stderr=log)
        line = _waited(lambda: next((each for each in self.log.splitlines() if "listens" in each), ""))
        self.port = int(line.rpartition(":")[2])
        _waited(self.ready)
        self.cold_s = time.monotonic() - start

    @property
    def log(self) -> str:
        """All that it said."""
        return self._log.read_text()

    def get(self, path: str) -> Any:
        """An answer in JSON."""
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        """Whether a model answers."""
        try:
            return bool(self.get("/ready")["ready"])
        except URLError:
            return False

    def memory_mb(self) -> float:
        """Resident memory of the server and of what predicts for it."""
        there = [psutil.Process(self.process.pid), *self.predicting()]
        return sum(each.memory_info().rss for each in there) / 1e6

    def predicting(self) -> list[psutil.Process]:
        """The processes that predict."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if any("server.worker" in part for part in each.cmdline())]


@contextmanager
def asking(server: Server, sent: list[bytes], check: Check, clients: int, bad: int = 0) -> Iterator[Tally]:
    """Clients at work while the block runs; `bad` of them are hostile."""
    tally, over = Tally(), threading.Event()
    threads = [
        threading.Thread(target=honest, args=(server.port, sent, check, over, tally, seed))
        for seed in range(clients - bad)
    ]
    threads += [threading.Thread(target=hostile, args=(server.port, sent[0], over, tally, seed)) for seed in range(bad)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        over.set()
        for thread in threads:
            thread.join()


def lone(server: Server, bundle: Bundle, sent: list[bytes]) -> dict[str, float]:
    """Milliseconds of one request after the other, beside those of the bare model, in turn."""
    from roadseg.predict.predictor import Predictor

    predictor = Predictor(bundle, batch=1, precision="auto")
    batch = np.zeros((1, *bundle.size, 3), np.uint8)
    bare, whole = [], []
    with asking(server, sent, lambda *_: True, 0):
        from http.client import HTTPConnection

        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        for number in range(LONE + 20):
            start = time.perf_counter()
            predictor._predict(batch)
            middle = time.perf_counter()
            connection.request("POST", "/predict", sent[number % len(sent)], {"Content-Type": "image/jpeg"})
            connection.getresponse().read()
            bare.append(1000 * (middle - start))
            whole.append(1000 * (time.perf_counter() - middle))
        connection.close()
    bare, whole = bare[20:], whole[20:]
    ends = [quantiles(each, n=100)[98] for each in (bare, whole)]
    return {
        "bare_ms": median(bare),
        "lone_ms": median(whole),
        "lone_allowed_ms": 1.5 * median(bare) + 5,
        "bare_p99_ms": ends[0],
        "lone_p99_ms": ends[1],
        "lone_p99_allowed_ms": 2 * ends[0],
    }


def throughput(server: Server, bundle: Bundle, sent: list[bytes], folder: Path) -> dict[str, float]:
    """Pictures a second: of `roadseg predict`'s stream, and of 16 clients, in turn."""
    from roadseg.predict.predictor import Predictor
    from roadseg.serving.folders import predict_files
    from roadseg.serving.sources import find_pictures

    paths = [folder / f"{number}.jpg" for number in range(len(sent))]
    for path, content in zip(paths, sent, strict=True):
        path.write_bytes(content)
    predictor, stream, served, out = Predictor(bundle, precision="auto"), [], [], folder.parent / "out"
    for turn in range(ROUNDS + 1):
        start = time.monotonic()
        for _ in predict_files(predictor, find_pictures([str(folder)], out), out, again=True):
            pass
        taken = time.monotonic() - start
        with asking(server, sent, lambda *_: True, 16) as tally:
            time.sleep(8)
        if turn:  # the first compiles
            stream.append(len(paths) / taken)
            served.append(len(tally.seconds) / 8)
    return {"predict_per_s": median(stream), "served_per_s": median(served), "ratio": median(served) / median(stream)}


def besieged(server: Server, sent: list[bytes], check: Check, seconds: float) -> dict[str, Any]:
    """64 clients, a tenth of them hostile."""
    with asking(server, sent, check, 64, 6) as tally:
        time.sleep(10)
        early = server.memory_mb()
        time.sleep(max(1.0, seconds - 10))
        late = server.memory_mb()
    growth = late / early - 1
    return tally.figures | {"memory_mb": round(late), "memory_growth": round(growth, 4), "seconds": seconds}


def moved(server: Server, sent: list[bytes], check: Check, seconds: float) -> dict[str, Any]:
    """The alias moved again and again under load."""
    from roadseg.registry.versions import CHAMPION, MODEL
    from roadseg.tracking.store import connect

    client, before = connect(), server.get("/version")["swaps"]
    end, version = time.monotonic() + seconds, 1
    with asking(server, sent, check, 8) as tally:
        while time.monotonic() < end:
            version = version % VERSIONS + 1
            client.set_registered_model_alias(MODEL, CHAMPION, str(version))
            time.sleep(MOVE)
        last = time.monotonic()
        _waited(lambda: server.get("/version")["version"] == version)
        last = time.monotonic() - last
    loads = [float(line.rpartition(" in ")[2].split()[0]) for line in server.log.splitlines() if "loaded in" in line]
    swaps = server.get("/version")["swaps"] - before
    return tally.figures | {"swaps": swaps, "last_s": round(last, 1), "load_s": round(median(loads), 1)}


def killed(server: Server, sent: list[bytes], check: Check) -> dict[str, Any]:
    """The process that predicts is killed under load."""
    with asking(server, sent, check, 8) as tally:
        time.sleep(2)
        for process in server.predicting():
            process.send_signal(signal.SIGKILL)
        start = time.monotonic()
        time.sleep(0.5)
        _waited(server.ready)
        back = time.monotonic() - start
        time.sleep(1)
    return tally.figures | {"back_s": round(back, 1), "cold_s": round(server.cold_s, 1)}


def checker(bundles: dict[int, Bundle], sent: list[bytes]) -> Check:
    """Compares with each version's own prediction."""
    from roadseg.predict.predictor import Predictor

    images = list(map(decode_image, sent))
    own = {str(number): list(Predictor(bundle, precision="auto")(images)) for number, bundle in bundles.items()}

    def right(number: int, headers: dict[str, str], body: bytes) -> bool:
        return bool(np.array_equal(np.asarray(Image.open(io.BytesIO(body))), own[headers["x-roadseg-version"]][number]))

    return right


def _waited(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + 300
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{look}")
        time.sleep(0.05)
    return found


def main() -> None:
    """Measure; prints one JSON object."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ROADSEG_HOME"] = str(folder / "home")
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        settle()
        sent, bundles = pictures(folder / "raw"), enter(folder / "bundles")
        check, server = checker(bundles, sent), Server(folder)
        try:
            found: dict[str, Any] = {"lone": lone(server, bundles[1], sent)}
            found["throughput"] = throughput(server, bundles[1], sent, folder / "raw")
            found["besieged"] = besieged(server, sent, check, seconds)
            found["moved"] = moved(server, sent, check, 3 * seconds)
            found["killed"] = killed(server, sent, check)
        finally:
            server.process.terminate()
            server.process.wait()
    rounded = {name: {key: _short(value) for key, value in figures.items()} for name, figures in found.items()}
    print(json.dumps(rounded | {"date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()

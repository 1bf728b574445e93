import base64
import io
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from bundles import painter
from PIL import Image
from servers import ask, free_port, kill_tree

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.predict.predictor import Predictor

# What `mlflow models serve` runs, in a process in which there is no other roadseg than the model's own
SERVER = """
import importlib.util, json, sys
sys.path[:] = [path for path in sys.path if not path.endswith("/src")]  # the editable install
assert importlib.util.find_spec("roadseg") is None
from mlflow.pyfunc import load_model
from mlflow.pyfunc.scoring_server import init
from starlette.testclient import TestClient
model, requests, answers = sys.argv[1:]
client = TestClient(init(load_model(model)))
sent = json.load(open(requests))
json.dump([[found.status_code, found.json()] for found in (
    client.post("/invocations", json=body) for body in sent)], open(answers, "w"))
print(sys.modules["roadseg.serving.payload"].__file__)
"""
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), np.uint8)


def encoded(image: np.ndarray) -> str:
    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


def decoded(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture)


TEXTS = [encoded(PIXELS[0]), encoded(PIXELS[1, :20])]
AS_PICTURES = [
    {"inputs": TEXTS},
    {"instances": TEXTS},
    {"inputs": {"image": TEXTS}},
    {"inputs": [{"image": text} for text in TEXTS]},
    {"instances": [{"image": text} for text in TEXTS]},
    {"dataframe_records": [{"image": text} for text in TEXTS]},
    {"dataframe_split": {"columns": ["image"], "data": [[text] for text in TEXTS]}},
]
AS_ARRAYS = [
    {"inputs": PIXELS.tolist()},
    {"instances": PIXELS.tolist()},
    {"inputs": {"array": PIXELS.tolist()}},
    {"dataframe_records": [{"array": image.tolist()} for image in PIXELS]},
]
REFUSED = {
    "the array holds floats: multiply what is in 0..1 by 255": {"inputs": (PIXELS / 255).tolist()},
    "the array has shape (40, 50, 3)": {"inputs": PIXELS[0].tolist()},
    "the array has shape (2, 3, 40, 50)": {"inputs": PIXELS.transpose(0, 3, 1, 2).tolist()},
    "picture 0 is not base64": {"dataframe_records": [{"image": "street.jpg!"}]},
    "picture 0 not a picture in a known format": {"inputs": [base64.b64encode(b"%PDF-1.4").decode()]},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Bundle:
    return painter(tmp_path_factory.mktemp("painter") / "bundle", idd_level1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    """Folder of the model as MLflow keeps it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")  # importing its models warns of its own type hints
        from mlflow.pyfunc import save_model

        from roadseg.serving.log import served_model
    folder = tmp_path_factory.mktemp("served") / "model"
    save_model(folder, **served_model(bundle.folder))
    return folder


@pytest.fixture(scope="module")
def masks(bundle: Bundle) -> tuple[np.ndarray, ...]:
    return tuple(Predictor(bundle, precision="auto")([*PIXELS, PIXELS[1, :20]]))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, model: Path, masks: tuple[np.ndarray, ...]) -> Any:
    """All answers of one server, with what they are to be."""
    folder = tmp_path_factory.mktemp("answers")
    bodies = [*AS_PICTURES, *AS_ARRAYS, *REFUSED.values()]
    (folder / "requests.json").write_text(json.dumps(bodies))
    told = [str(model), str(folder / "requests.json"), str(folder / "answers.json")]
    printed = subprocess.check_output([sys.executable, "-I", "-c", SERVER, *told], cwd="/", text=True, timeout=300)
    assert printed.splitlines()[-1].startswith(str(model / "code"))
    return json.loads((folder / "answers.json").read_text()), masks


@pytest.mark.soak
def test_mlflow_serves_the_model_outside_the_repository(
    model: Path, masks: tuple[np.ndarray, ...], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = ["mlflow", "models", "serve", "-m", str(model), "--env-manager", "local", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        served = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_for_health(url, served, tmp_path / "log")
        for body in AS_PICTURES:
            for expected, text in zip(
                (masks[0], masks[2]), ask(f"{url}/invocations", body)["predictions"], strict=True
            ):
                np.testing.assert_array_equal(decoded(text), expected)
        for body in AS_ARRAYS:
            np.testing.assert_array_equal(ask(f"{url}/invocations", body)["predictions"], masks[:2])
        for wanted, body in REFUSED.items():
            with pytest.raises(HTTPError) as refused:
                ask(f"{url}/invocations", body)
            assert refused.value.code == 400
            assert wanted in json.load(refused.value)["message"]
    finally:
        kill_tree(served)


def wait_for_health(url: str, served: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server that starts answers."""
    while served.poll() is None:
        try:
            with urlopen(f"{url}/ping", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def test_pictures_in_base64_are_answered_by_masks_in_base64(answers: Any) -> None:
    found, (first, _, cut) = answers
    for status, body in found[: len(AS_PICTURES)]:
        assert status == 200, body
        for expected, text in zip((first, cut), body["predictions"], strict=True):
            np.testing.assert_array_equal(decoded(text), expected)


def test_arrays_are_answered_by_arrays(answers: Any) -> None:
    found, (first, second, _) = answers
    for status, body in found[len(AS_PICTURES) :][: len(AS_ARRAYS)]:
        assert status == 200, body
        np.testing.assert_array_equal(body["predictions"], [first, second])


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=list(REFUSED))
def test_what_cannot_be_used_is_a_400_that_says_what_is_wanted(answers: Any, number: int) -> None:
    status, body = answers[0][len(AS_PICTURES) + len(AS_ARRAYS) + number]
    assert (status, body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert list(REFUSED)[number] in body["message"]
    assert body["message"].endswith("send pictures in base64, or whole numbers 0..255 of shape (N, H, W, 3), RGB")

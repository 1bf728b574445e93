"""A training stage in seconds, as a process of its own, in a tree with shards.

`python -m small_training EPOCHS [PARAMS]`, what shall differ in the section as JSON. It tells the digest of the weights
that it ends with: of several processes one alone leaves a bundle. `Forked` is one that need not import TensorFlow.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from held import hold
from narrow_models import narrow_encoder

from roadseg.contracts.errors import RoadsegError
from roadseg.pipeline.watchdog import watched
from roadseg.train import stage
from roadseg.train.models.known import MODELS, residual_unet
from roadseg.train.models.unet import SIZES
from roadseg.train.params import TrainParams
from roadseg.train.run import loop
from roadseg.train.run.checkpointing import Checkpointer

ROOT = Path(__file__).parent.parent
SMALL = {"model": "small", "epochs": 1, "batch": 4, "precision": "float32", "reduced_share": 0.0}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())["train"] | SMALL
ALL = {"lovasz": 0.5, "hard": 0.3, "uniform": 0.5, "randaugment": 5.0}  # what is off by default
FAST_TO_COMPILE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # of JAX
# a third of the layers is traced in a third of the time
SHORT = residual_unet("small", replace(SIZES["small"], stages=((16, 1),), decoder=(48,)))


# a server that has loaded all and started no thread of TensorFlow forks each training: that saves most of its seconds
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["small_training", "roadseg.train.run.result", "roadseg.train.step.devices"])


def main(epochs: int, changes: dict[str, Any]) -> None:
    MODELS.update(small=SHORT, lite0=narrow_encoder("lite0"))
    hold(Checkpointer)
    fit = loop.fit

    def telling(model: Any, *arguments: Any, **options: Any) -> list[loop.Row]:
        history = fit(model, *arguments, **options)
        weights = b"".join(array.tobytes() for array in model.get_weights())
        print("ends with", hashlib.sha256(weights).hexdigest())
        return history

    loop.fit = telling
    try:
        with watched(os.getpid()):
            stage.run(train=TrainParams(**PARAMS | {"epochs": epochs} | changes))
    except RoadsegError as error:
        print(error)
        sys.exit(error.exit_code)


class Forked:
    """A training in a tree, with its home there."""

    def __init__(self, tree: Path, epochs: int, changes: dict[str, Any], environment: dict[str, str]) -> None:
        environment = {**os.environ, "ROADSEG_HOME": str(tree / "home"), **environment}
        self._log = tree / "log"
        self._process = FORKING.Process(target=_forked, args=(tree, self._log, environment, epochs, changes))
        self._process.start()
        self.pid = int(self._process.pid or 0)

    def lives(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it printed."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode, self._log.read_text()


def _forked(tree: Path, log: Path, environment: dict[str, str], epochs: int, changes: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(tree)
    with log.open("wb") as opened:
        for stream in (1, 2):
            os.dup2(opened.fileno(), stream)
    main(epochs, changes)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads("".join(sys.argv[2:]) or "{}"))

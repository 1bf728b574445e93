"""A training's whole state in its run folder, in two generations: a kill at any moment costs seconds."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from roadseg.contracts.files import replacing
from roadseg.train.step.worker_processes import SINGLE_PROCESS, WorkerProcesses

NAMES = ("checkpoint-a", "checkpoint-b")
DIGEST = 32  # bytes of sha256 before the NumPy archive, whose own sums leave parts out


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: the one at work, from 1.
        step: batches of it that are done.
        losses: of those batches.
        history: a row for each epoch that is over.
    """

    epoch: int = 1
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """Saves to the older generation and restores the newest that is whole."""

    def __init__(self, folder: Path) -> None:
        """Use the files of a run folder, which its fingerprint names: only the identical experiment finds them."""
        self._folder, self._number = folder, 0

    def save(self, model: keras.Model, progress: Progress) -> None:
        """Write weights, averaged weights, optimiser, random state and progress; atomic and on disk at return."""
        self._number += 1
        meta = {"number": self._number, "made_by": _made_by(), "names": _names(model), "progress": asdict(progress)}
        arrays = {
            f"{number:05}": keras.ops.convert_to_numpy(variable) for number, variable in enumerate(_variables(model))
        }
        written = io.BytesIO()
        np.savez(written, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
        with replacing(self._folder / NAMES[self._number % 2]) as temporary, temporary.open("wb") as opened:
            opened.write(hashlib.sha256(written.getbuffer()).digest())
            opened.write(written.getbuffer())

    def restore(self, model: keras.Model, processes: WorkerProcesses = SINGLE_PROCESS) -> Progress:
        """Bring `model`, built and compiled, to the newest whole generation that the first process has.

        Returns:
            Where to go on; a new start where there is none. What was damaged is said.
        """
        data = processes.from_first(self._newest(model) if processes.first else b"")
        return _load(data, model) if data else Progress()

    def _newest(self, model: keras.Model) -> bytes:
        for number, path in sorted(self._generations(), reverse=True):
            try:
                data = path.read_bytes()
                _check(data, model)
            except (OSError, ValueError) as error:
                print(f"train: {path} cannot be used ({error}); trying the other generation", flush=True)
                continue
            self._number = number
            return data
        if any((self._folder / name).exists() for name in NAMES):
            print("train: no generation of the checkpoint can be used, so training starts over", flush=True)
        return b""

    def _generations(self) -> list[tuple[int, Path]]:
        found = []
        for path in (self._folder / name for name in NAMES):
            if path.exists():
                try:
                    found.append((_meta(_content(path.read_bytes()))["number"], path))
                except (OSError, ValueError) as error:
                    print(f"train: {path} is damaged ({error})", flush=True)
        return found


def clear(folder: Path) -> None:
    """Delete both generations in a run folder."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)


def _check(data: bytes, model: keras.Model) -> None:
    meta = _meta(_content(data))
    if (meta["made_by"], meta["names"]) != (_made_by(), _names(model)):
        raise ValueError(f"it is of another model or of {meta['made_by']}")


def _load(data: bytes, model: keras.Model) -> Progress:
    content = _content(data)
    for number, variable in enumerate(_variables(model)):
        variable.assign(content[f"{number:05}"])
    return Progress(**_meta(content)["progress"])


def _content(whole: bytes) -> Any:
    data = memoryview(whole)
    if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
        raise ValueError("its digest does not fit")
    return np.load(io.BytesIO(data[DIGEST:]), allow_pickle=False)


def _meta(content: Any) -> dict[str, Any]:
    return dict(json.loads(content["meta"].tobytes()))


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]  # with the state of dropout, and the averaged weights


def _names(model: keras.Model) -> list[str]:
    return [f"{variable.path} {tuple(variable.shape)} {variable.dtype}" for variable in _variables(model)]


def _made_by() -> str:
    return f"keras {keras.__version__} on {keras.backend.backend()}"

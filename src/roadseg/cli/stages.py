"""The five stages as verbs; DVC calls them, people call `dvc repro`."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType, ModuleType

from roadseg.cli.report import after_stage
from roadseg.contracts.errors import DEFECT, DONE, Interrupted, RoadsegError
from roadseg.contracts.files import code_digests, home
from roadseg.contracts.params import Section, arguments, read_params
from roadseg.evaluate import stage as evaluate
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.graph import read_graph
from roadseg.pipeline.receipt import leave_receipt
from roadseg.preprocess import stage as preprocess
from roadseg.scan import stage as scan
from roadseg.train import stage as train
from roadseg.train.params import TrainParams
from roadseg.train.step.worker_processes import WorkerProcesses
from roadseg.validate import stage as validate

STAGES: dict[str, tuple[ModuleType, type[Section]]] = {
    "scan": (scan, scan.ScanParams),
    "validate": (validate, validate.ValidateParams),
    "preprocess": (preprocess, preprocess.PreprocessParams),
    "train": (train, TrainParams),
    "evaluate": (evaluate, evaluate.EvaluateParams),
}


def run_stage(name: str) -> int:
    """Check all parameters, run one stage, leave a receipt.

    Returns:
        The exit code of the design's table.
    """
    follow_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    exit_code = DEFECT
    try:
        module, _ = STAGES[name]
        params = read_params({stage: section for stage, (_, section) in STAGES.items()})
        print(f"{name}: home is {home()}")
        with _accompanied() if name == "train" and WorkerProcesses.asked().first else nullcontext():
            module.run(**arguments(module.run, params))
        exit_code = DONE
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        exit_code = error.exit_code
    except Exception:
        traceback.print_exc()
    finally:
        after_stage(name, exit_code)
        packages = next((stage.packages for stage in read_graph(Path.cwd()) if stage.name == name), ())
        leave_receipt(name, exit_code, code_digests(*packages))
    return exit_code


@contextmanager
def _accompanied() -> Iterator[None]:
    from roadseg.pipeline.watchdog import watched
    from roadseg.tracking.beside import following

    with following(home()), watched(os.getpid()):
        yield


def _interrupt(number: int, _: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the parent's death sends another
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Interrupted(f"stopped by {signal.Signals(number).name}: run the same command to go on")

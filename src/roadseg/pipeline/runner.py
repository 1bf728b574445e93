"""Run one stage as DVC calls it: parameters, signals, what accompanies it, the page after it, and the receipt."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from inspect import get_annotations
from pathlib import Path
from types import FrameType, ModuleType

from roadseg.contracts.errors import DEFECT, DONE, Interrupted, RoadsegError
from roadseg.contracts.files import code_digests, home
from roadseg.contracts.params import Section, arguments, read_params
from roadseg.evaluate import stage as evaluate
from roadseg.gate.policy import Policy
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.graph import read_graph
from roadseg.pipeline.receipt import leave_receipt
from roadseg.pipeline.watchdog import watched
from roadseg.preprocess import stage as preprocess
from roadseg.scan import stage as scan
from roadseg.train import stage as train
from roadseg.train.step.worker_processes import WorkerProcesses
from roadseg.validate import stage as validate

STAGES: dict[str, ModuleType] = {
    "scan": scan,
    "validate": validate,
    "preprocess": preprocess,
    "train": train,
    "evaluate": evaluate,
}
SECTIONS: dict[str, type[Section]] = {  # of params.yaml: what the stage of that name asks for, and the gate
    name: get_annotations(stage.run)[name] for name, stage in STAGES.items()
} | {"promote": Policy}


def execute(
    name: str, *, follower: Callable[[], AbstractContextManager[None]], pages: Callable[[str, int], None]
) -> int:
    """Check all parameters, run one stage, make pages, leave a receipt.

    Args:
        name: of the stage.
        follower: runs while train does, and sends what it writes.
        pages: makes the pages after a stage, told its name and exit code; what it raises is one line and no error.

    Returns:
        The exit code among those in docs/reference.md.
    """
    follow_parent()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    exit_code = DEFECT
    try:
        module, params = STAGES[name], read_params(SECTIONS)
        print(f"{name}: home is {home()}")
        with ExitStack() as accompanied:
            if name == "train" and WorkerProcesses.asked().first:
                accompanied.enter_context(follower())
                accompanied.enter_context(watched(os.getpid()))
            module.run(**arguments(module.run, params))
        exit_code = DONE
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        exit_code = error.exit_code
    except Exception:
        traceback.print_exc()
    finally:
        make_pages(pages, name, exit_code)
        packages = next((stage.packages for stage in read_graph(Path.cwd()) if stage.name == name), ())
        leave_receipt(name, exit_code, code_digests(*packages))
    return exit_code


def make_pages(pages: Callable[[str, int], None], name: str, exit_code: int) -> None:
    """Make the pages after a stage; a failure is a line, never an error. `ROADSEG_PAGES=off` makes none."""
    if os.environ.get("ROADSEG_PAGES") == "off":
        return
    try:
        pages(name, exit_code)
    except Exception as error:  # a page is a view: what it shows stands without it
        print(f"warning: no page: {type(error).__name__}: {error}", file=sys.stderr)


def _interrupt(number: int, _: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the parent's death sends another
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Interrupted(f"stopped by {signal.Signals(number).name}: run the same command to go on")

"""Stage train: from shards to a bundle, one experiment at a time on a machine."""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from filelock import FileLock, Timeout

from roadseg.contracts import paths
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import code_digests, digest_of, home
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import find_weights
from roadseg.machine.signals import stopping
from roadseg.train.params import OF_DRAWS, OF_MODEL, OF_VIEWS, Resolved, TrainParams, epoch_sizes, resolve
from roadseg.train.run import system_metrics
from roadseg.train.run.journal import Journal, run_folder
from roadseg.train.run.reporting import Reporter
from roadseg.train.step.worker_processes import WorkerProcesses

READS = (paths.SHARDS,)
WRITES = (paths.BUNDLE, paths.HISTORY, paths.MONITORED)


def run(*, train: TrainParams) -> None:
    """Train and write the bundle and the history; of several processes the first writes.

    Raises:
        Busy: another process trains this very experiment; names it.
    """
    processes = WorkerProcesses.asked()
    processes.join()
    with ExitStack() as held:
        with processes.together():
            shards = Shards.open(paths.SHARDS)
            resolved = resolve(train, shards)
            code = code_digests("contracts", "train")
            backend = os.environ.get("KERAS_BACKEND", "tensorflow")
            mark = digest_of([shards.digest, resolved.model_dump(), backend, code])
            folder = held.enter_context(_alone(run_folder(home(), mark)) if processes.first else _passing())
        processes.check_equal(mark)
        _train(shards, resolved, mark, code, Journal(folder), processes)


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """The run folder, while no other trainer of the experiment uses it."""
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "holder"
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise Busy(f"this experiment is trained already by {who}: wait for it or change a parameter") from None
    with lock:
        holder.write_text(f"process {os.getpid()} in {Path.cwd()}")
        yield folder


@contextmanager
def _passing() -> Iterator[Path]:
    """A run folder for a process beside the first: what it tells goes with it."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def _train(
    shards: Shards, train: Resolved, mark: str, code: dict[str, str], journal: Journal, processes: WorkerProcesses
) -> None:
    import keras  # late: it takes seconds, and reads what `resolve` has settled

    from roadseg.train.data import batches
    from roadseg.train.models import warm_start
    from roadseg.train.models.known import MODELS
    from roadseg.train.run import checkpointing, loop, result
    from roadseg.train.step import devices, guard

    with processes.together():
        parent = None if train.init == "none" else find_weights(train.init)
        shards.check("train")
        fitted, monitored = batches.split_monitored(shards, train.monitor, train.seed)
    keras.utils.set_random_seed(train.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if train.precision == "bfloat16" else "float32")
    architecture = MODELS[train.model]
    names = shards.classes.names
    pixels = fitted.class_pixels.sum(0)
    _name_missing(names, pixels, np.array(shards.class_pixels["train"][:-1]))
    print(f"train: {train.model} on {len(fitted)} images, {len(monitored)} monitored, {train.precision}", flush=True)
    journal.note("start", fingerprint=mark, epochs=train.epochs, machine=platform.machine())
    dealt = train.model_dump(include=OF_DRAWS)
    sizes = epoch_sizes(shards.height, shards.width, architecture.stride, train.epochs, train.reduced_share)
    reporter = Reporter(journal, sizes, monitored)
    with devices.sharing(train.batch, processes) as used, stopping() as stop, system_metrics.watching(journal):
        model = loop.compiled(
            architecture,
            pixels,
            train.epochs * batches.steps_per_epoch(len(fitted), train.batch * train.accumulate),
            **train.model_dump(include=OF_MODEL),
        )
        if parent:
            warm_start.start_from(parent, model, train.model, names)
        history = loop.fit(
            model,
            architecture,
            fitted,
            monitored,
            epochs=train.epochs,
            batch=train.batch,
            accumulate=train.accumulate,
            part=processes.part(train.batch),
            sizes=sizes,
            views=train.model_dump(include=OF_VIEWS),
            names=names,
            shown=reporter.shown,
            after_epoch=reporter.after_epoch,
            checkpointer=checkpointing.Checkpointer(journal.folder, stop, processes),
            guard=guard.Guard(
                model,
                journal.folder,
                lambda epoch, number: batches.batch_samples(fitted, epoch=epoch, number=number, **dealt),
                used,
                processes,
            ),
        )
    with processes.together():
        if processes.first:
            result.write_result(model, shards, train, mark, code, history, parent)
            journal.note("done")
            checkpointing.forget_others(journal.folder)


def _name_missing(names: list[str], fitted: np.ndarray, everywhere: np.ndarray) -> None:
    for name, here, anywhere in zip(names, fitted, everywhere, strict=True):
        if here == 0 and anywhere == 0:
            print(f"warning: class {name} never occurs in the training data, so it cannot be learnt")
        elif here == 0:
            print(f"warning: class {name} occurs in the monitored drives alone: change train.seed or train.monitor")

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
from roadseg.contracts.files import home
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import Weights, find_weights
from roadseg.machine.signals import stopping
from roadseg.train.params import TrainParams, epoch_sizes, resolve
from roadseg.train.run import system_metrics
from roadseg.train.run.fingerprint import Identity, identify
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
            identity = identify(shards.digest, resolved)
            folder = run_folder(home(), identity.fingerprint)
            # what a process beside the first says goes with it
            used = held.enter_context(_locked(folder) if processes.first else TemporaryDirectory())
        processes.check_equal(identity.fingerprint)
        _train(shards, identity, Journal(Path(used)), processes)


@contextmanager
def _locked(folder: Path) -> Iterator[str]:
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
        yield str(folder)


def _train(shards: Shards, identity: Identity, journal: Journal, processes: WorkerProcesses) -> None:
    import keras  # late, as what follows: it takes seconds

    from roadseg.train.data.batches import TrainingBatches, split_monitored
    from roadseg.train.models.known import MODELS
    from roadseg.train.models.warm_start import start_from
    from roadseg.train.run import loop
    from roadseg.train.run.checkpointing import Checkpointer, forget_others
    from roadseg.train.run.result import write_result
    from roadseg.train.step import devices
    from roadseg.train.step.compiled import compiled
    from roadseg.train.step.guard import Guard

    train = identity.params
    with processes.together():
        parent = _parent(train)
        shards.check("train")
        fitted, monitored = split_monitored(shards, train.monitor, train.seed)
    keras.utils.set_random_seed(train.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if train.precision == "bfloat16" else "float32")
    architecture, names, pixels = MODELS[train.model], shards.classes.names, fitted.class_pixels.sum(0)
    _name_missing(names, pixels, np.array(shards.class_pixels["train"][:-1]))
    counts = f"{len(fitted)} images, {len(monitored)} monitored"
    computes = f"{train.precision} on {identity.surroundings.instruction_set}"
    print(f"train: {train.model} on {counts}, {computes}", flush=True)
    journal.note("start", fingerprint=identity.fingerprint, epochs=train.epochs, machine=platform.machine())
    sizes = epoch_sizes(shards.height, shards.width, architecture.stride, train.epochs, train.reduced_share)
    batches = TrainingBatches(
        fitted,
        train,
        seed=train.seed,
        batch=train.batch,
        reduction=architecture.reduction,
        accumulate=train.accumulate,
        part=processes.part(train.batch),
    )
    reporter = Reporter(journal, sizes, monitored)
    with devices.sharing(train.batch, processes) as used, stopping() as stop, system_metrics.watching(journal):
        model = compiled(architecture, pixels, train.epochs * batches.steps, train)
        if parent:
            start_from(parent, model, train.model, names)
        checkpointer = Checkpointer(journal.folder, stop, processes)
        guard = Guard(model, journal.folder, batches.samples, used, processes)
        history = loop.fit(model, batches, monitored, sizes, reporter, checkpointer, guard)
    with processes.together():
        if processes.first:
            write_result(model, shards, identity, history, parent)
            journal.note("done")
            forget_others(journal.folder)


def _parent(train: TrainParams) -> Weights | None:
    """The weights to start from, if any."""
    from roadseg.train.models.known import MODELS  # late: it loads Keras

    encoder = train.model if MODELS[train.model].encoder else ""
    if train.init != "none":
        return find_weights(train.init, encoder)
    if encoder:
        print(f"train: starts from nothing: `roadseg models pretrained {encoder}` brings weights", flush=True)
    return None


def _name_missing(names: list[str], fitted: np.ndarray, everywhere: np.ndarray) -> None:
    for name, here, anywhere in zip(names, fitted, everywhere, strict=True):
        if here == 0 and anywhere == 0:
            print(f"warning: class {name} never occurs in the training data, so it cannot be learnt")
        elif here == 0:
            print(f"warning: class {name} occurs in the monitored drives alone: change train.seed or train.monitor")

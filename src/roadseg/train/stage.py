"""Stage train: from shards to a bundle, one experiment at a time on a machine."""

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from filelock import FileLock, Timeout
from pydantic import Field

from roadseg.contracts.bundle import SAMPLES, write_bundle
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import code_digests, digest_of, home, replacing
from roadseg.contracts.journal import Journal, metric_names, read_journal, run_folder
from roadseg.contracts.lifeline import stopping
from roadseg.contracts.params import Section
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import NAME, Weights, find_weights, write_weights
from roadseg.train.processes import Processes

if TYPE_CHECKING:
    import keras

READS = ("data/shards",)
WRITES = ("models/bundle", "reports/history.csv")
OF_MODEL = {"learning_rate", "weight_decay", "warmup", "accumulate", "clip", "average"}
OF_MODEL |= {"balance", "dice", "lovasz", "hard"}
OF_VIEWS = {"seed", "crop_min", "aspect", "colour", "uniform", "randaugment"}
OF_DRAWS = {"batch", "accumulate", "seed", "uniform"}


class TrainParams(Section):
    """What train may be told."""

    model: Literal["small", "base", "large", "tutorial"] = Field(description="which U-Net; tutorial is the baseline")
    epochs: int = Field(gt=0, description="passes over the training images")
    batch: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        description="images in a batch; auto: 16, or as many of them as fit into the memory"
    )
    accumulate: int = Field(gt=0, description="batches whose mean gradient makes a step; 1: a step for each")
    learning_rate: float = Field(gt=0, description="peak of warm-up and cosine")
    weight_decay: float = Field(ge=0, description="decoupled, on kernels only")
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(gt=0, description="largest norm of all gradients together")
    average: float = Field(ge=0, lt=1, description="momentum of the averaged weights that are kept")
    balance: float = Field(ge=0, le=1, description="exponent of the class weights; 0 weighs all alike")
    dice: float = Field(ge=0, description="weight of the Dice term beside cross-entropy")
    lovasz: float = Field(ge=0, description="weight of the Lovasz-Softmax term beside cross-entropy; 0 is off")
    hard: float = Field(ge=0, le=1, description="share of the pixels, the hardest, for cross-entropy; 0 and 1 are all")
    crop_min: float = Field(gt=0, le=1, description="smallest crop, as a share of either side")
    aspect: float = Field(ge=0, lt=1, description="how far the crop's sides may differ")
    colour: float = Field(ge=0, lt=1, description="strength of brightness, contrast and tint")
    uniform: float = Field(ge=0, le=1, description="share of the images drawn for each class in turn; 0 is off")
    randaugment: float = Field(ge=0, le=10, description="magnitude of RandAugment's two operations; 0 is off")
    reduced_share: float = Field(ge=0, le=1, description="first share of the epochs, at three quarters of the size")
    monitor: float = Field(gt=0, lt=1, description="share of the training drives held out for the curves")
    init: str = Field(
        pattern="^(none|[0-9a-f]{64})$", description="weights to start from, by digest (`roadseg models init`), or none"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="auto: bfloat16 where the CPU has AMX")
    threads: int = Field(gt=0, description="of the CPU; another number gives other rounding")
    seed: int = Field(ge=0, description="of weights, order and views")


class Resolved(TrainParams):
    """Without `auto`: what the fingerprint knows and the card records."""

    batch: int
    precision: Literal["float32", "bfloat16"]


def run(*, train: TrainParams) -> None:
    """Train and write the bundle and the history; of several processes the first writes.

    Raises:
        Busy: another process trains this very experiment; names it.
    """
    processes = Processes.asked()
    processes.join()
    with ExitStack() as held:
        with processes.together():
            shards = Shards.open(Path("data/shards"))
            auto = {"precision": resolve_precision(train.precision), "batch": resolve_batch(train, shards)}
            resolved = Resolved(**train.model_dump() | auto)
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


def resolve_precision(asked: str) -> str:
    """Turn `auto` into what this CPU is fast at: bfloat16 with AMX, else float32."""
    if asked != "auto":
        return asked
    cpu = Path("/proc/cpuinfo")
    return "bfloat16" if cpu.exists() and " amx_bf16" in cpu.read_text() else "float32"


def resolve_batch(train: TrainParams, shards: Shards) -> int:
    """Turn `auto` into what fits: see `memory.auto_batch`."""
    if train.batch != "auto":
        return train.batch
    _settle(train.threads)
    from roadseg.train import memory  # late: it loads Keras
    from roadseg.train.models.known import MODELS

    return memory.auto_batch(MODELS[train.model], shards.classes.count, (shards.height, shards.width))


def epoch_sizes(height: int, width: int, stride: int, epochs: int, reduced_share: float) -> list[tuple[int, int]]:
    """Height and width of the images in each epoch: three quarters, rounded to the stride, then whole."""
    reduced = (_three_quarters(height, stride), _three_quarters(width, stride))
    first = round(reduced_share * epochs)
    return [reduced] * first + [(height, width)] * (epochs - first)


def _three_quarters(side: int, stride: int) -> int:
    return max(stride, round(side * 0.75 / stride) * stride)


def _settle(threads: int) -> None:
    os.environ["TF_DETERMINISTIC_OPS"] = "1"
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)


def _train(
    shards: Shards, train: Resolved, mark: str, code: dict[str, str], journal: Journal, processes: Processes
) -> None:
    _settle(train.threads)
    import keras  # late: what was settled is read at import, and it takes seconds

    from roadseg.train import batches, devices, guard, keeper, loop, warm
    from roadseg.train.models.known import MODELS

    with processes.together():
        parent = None if train.init == "none" else find_weights(train.init)
        shards.check("train")
        fitted, watched = batches.split_monitored(shards, train.monitor, train.seed)
    keras.utils.set_random_seed(train.seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if train.precision == "bfloat16" else "float32")
    architecture = MODELS[train.model]
    names = shards.classes.names
    pixels = fitted.class_pixels.sum(0)
    _name_missing(names, pixels, np.array(shards.class_pixels["train"][:-1]))
    print(f"train: {train.model} on {len(fitted)} images, {len(watched)} monitored, {train.precision}", flush=True)
    journal.note("start", fingerprint=mark, epochs=train.epochs, machine=platform.machine())
    told = {entry["step"] for entry in read_journal(journal.folder)[0] if entry["kind"] == "metric"}
    dealt = train.model_dump(include=OF_DRAWS)
    with devices.sharing(train.batch, processes) as used, stopping() as stop:
        model = loop.compiled(
            architecture,
            pixels,
            train.epochs * batches.steps_per_epoch(len(fitted), train.batch * train.accumulate),
            **train.model_dump(include=OF_MODEL),
        )
        if parent:
            warm.start_from(parent, model, train.model, names)
        history = loop.fit(
            model,
            architecture,
            fitted,
            watched,
            epochs=train.epochs,
            batch=train.batch,
            accumulate=train.accumulate,
            part=processes.part(train.batch),
            sizes=epoch_sizes(shards.height, shards.width, architecture.stride, train.epochs, train.reduced_share),
            views=train.model_dump(include=OF_VIEWS),
            names=names,
            after_epoch=lambda row: _tell(row, train.epochs, journal, told),
            keeper=keeper.Keeper(journal.folder, stop, processes),
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
            _write(model, shards, train, mark, code, history, parent)
            journal.note("done")
            keeper.forget_others(journal.folder)


def _write(
    model: "keras.Model",
    shards: Shards,
    train: Resolved,
    mark: str,
    code: dict[str, str],
    history: list[dict[str, float]],
    parent: Weights | None,
) -> None:
    from roadseg.train import warm
    from roadseg.train.models.deploy import deploy
    from roadseg.train.models.known import MODELS

    architecture, names = MODELS[train.model], shards.classes.names
    final = deploy(model, architecture, len(names))
    trained = write_weights(
        Path("models/bundle") / NAME, warm.weights_of(model), fingerprint=mark, model=train.model, classes=names
    )
    card = _card(shards, train, mark, code, architecture.stride, architecture.output)
    card |= {"training_weights": trained, "parent": parent and parent.fingerprint}
    columns = ["sample", "drive", "image_sha", "phash"]
    tiles = shards.index[shards.index["split"] == "train"].drop_duplicates("sample")[columns]
    used = pa.Table.from_pandas(tiles, SAMPLES, preserve_index=False)
    write_bundle(Path("models/bundle"), final, card, used)
    with replacing(Path("reports/history.csv")) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")


def _name_missing(names: list[str], fitted: np.ndarray, everywhere: np.ndarray) -> None:
    for name, here, anywhere in zip(names, fitted, everywhere, strict=True):
        if here == 0 and anywhere == 0:
            print(f"warning: class {name} never occurs in the training data, so it cannot be learnt")
        elif here == 0:
            print(f"warning: class {name} occurs in the monitored drives alone: change train.seed or train.monitor")


def _tell(row: dict[str, float], epochs: int, journal: Journal, told: set[int]) -> None:
    print(f"epoch {row['epoch']:.0f}/{epochs}  loss {row['loss']:.4f}  monitored mIoU {row['miou']:.4f}", flush=True)
    if int(row["epoch"]) not in told:  # after a kill an epoch may end twice, with equal figures
        journal.metric(int(row["epoch"]), metric_names(row))


def _card(shards: Shards, train: Resolved, mark: str, code: dict[str, str], stride: int, output: str) -> dict[str, Any]:
    return {
        "fingerprint": mark,
        "model": train.model,
        "stride": stride,
        **shards.framing.content,
        "classes": shards.classes.content,
        "output": output,
        "params": train.model_dump(),
        "data": shards.digest,
        "code": digest_of(code),
    }

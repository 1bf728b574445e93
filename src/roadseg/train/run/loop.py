"""The training loop: epochs of steps, the monitored score after each, averaged weights at the end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.train.data.batches import Batch, Pairs, ahead, epoch_batches, steps_per_epoch, whole_batches
from roadseg.train.losses.segmentation import SegmentationLoss, class_weights
from roadseg.train.models.known import Architecture
from roadseg.train.run.checkpoint import Progress
from roadseg.train.run.checkpointing import Checkpointer
from roadseg.train.run.throughput import Throughput
from roadseg.train.step.gradient_accumulation import adamw
from roadseg.train.step.guard import Guard, skipping

Row = dict[str, float]


def compiled(
    architecture: Architecture,
    pixels: np.ndarray,
    steps: int,
    *,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    accumulate: int,
    clip: float,
    average: float,
    balance: float,
    dice: float,
    lovasz: float,
    hard: float,
) -> keras.Model:
    """Build the model with its loss and optimiser.

    Args:
        architecture: which model.
        pixels: integer (K,), training pixels of each class.
        steps: of the whole training.
        learning_rate: peak, reached after the `warmup` share of the steps, then a cosine to 0.
        weight_decay: decoupled, on kernels only.
        accumulate: batches in a step.
        clip: largest norm of all gradients together.
        average: momentum of the averaged weights, per step.
        balance: exponent of the class weights.
        dice, lovasz, hard: see `SegmentationLoss`.
    """
    model = architecture.build(len(pixels))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=learning_rate, warmup_steps=max(1, round(warmup * steps))
    )
    optimizer = adamw(
        schedule,
        accumulate,
        weight_decay=weight_decay,
        beta_2=0.99,
        global_clipnorm=clip,
        use_ema=True,
        ema_momentum=average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = SegmentationLoss(
        class_weights(pixels, balance), dice, architecture.output == "logits", lovasz=lovasz, hard=hard
    )
    guarded = skipping(optimizer)
    # under TensorFlow XLA never pays on a CPU; JAX without it makes each operation by itself
    model.compile(guarded, loss, jit_compile=keras.backend.backend() == "jax")
    guarded.build(model.trainable_variables)  # so that a checkpoint finds its variables
    return model


def fit(
    model: keras.Model,
    architecture: Architecture,
    train: Pairs,
    monitored: Pairs,
    *,
    epochs: int,
    batch: int,
    accumulate: int,
    part: slice,
    sizes: list[tuple[int, int]],
    views: dict[str, Any],
    names: list[str],
    shown: list[int],
    after_epoch: Callable[[Row, Throughput, np.ndarray], None],
    checkpointer: Checkpointer,
    guard: Guard,
) -> list[Row]:
    """Train from where the last checkpoint stands, and leave the averaged weights in the model.

    Args:
        model: compiled; computes what `architecture` says.
        architecture: how far masks are reduced.
        train, monitored: see `batches.split_monitored`.
        epochs: passes over `train`.
        batch: pairs in a batch.
        accumulate: batches in a step.
        part: of each batch, which this process makes.
        sizes: height and width of the images in each epoch.
        views: seed, crop_min, aspect, colour, uniform and randaugment of `batches.epoch_batches`.
        names: of the classes.
        shown: numbers of monitored pairs, ascending.
        after_epoch: is told each row of the history, the throughput of its epoch, and the ids in the pairs shown.
        checkpointer: restores the state, and saves it from time to time.
        guard: makes the steps.

    Returns:
        A row per epoch: epoch, step, loss, learning_rate, miou and iou.<class> on the monitored drives.

    Raises:
        Interrupted: told to stop; the state is saved.
    """
    steps = steps_per_epoch(len(train), batch * accumulate)
    progress, built = checkpointer.start(model), set[tuple[int, int]]()
    while progress.epoch <= epochs:
        size, throughput = sizes[progress.epoch - 1], Throughput()
        batches = epoch_batches(
            train,
            epoch=progress.epoch,
            skip=progress.step,
            batch=batch,
            accumulate=accumulate,
            part=part,
            size=size,
            reduction=architecture.reduction,
            **views,
        )
        for pair in throughput.watch(_with_bar(batches, progress, epochs, steps * accumulate)):
            with nullcontext() if size in built else checkpointer.building(model, progress):
                loss = guard.step(*pair, progress.epoch, progress.step)
            built.add(size)
            progress.losses += [] if loss is None else [loss]
            progress.step += 1
            throughput.images += len(pair[0])
            checkpointer.after_step(model, progress)
        looks = checkpointer.alive(whole_batches(monitored, batch, architecture.reduction), progress)
        with checkpointer.saving(model, progress):
            matrix, seen = monitor(model, looks, len(names), checkpointer.at_once(progress), shown)
        row: Row = {
            "epoch": progress.epoch,
            "step": progress.epoch * steps,
            "loss": float(np.mean(progress.losses)) if progress.losses else np.nan,
            "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
            "miou": mean_iou(matrix),
            **{f"iou.{name}": float(value) for name, value in zip(names, iou(matrix), strict=True)},
        }
        progress = Progress(progress.epoch + 1, history=[*progress.history, row])
        after_epoch(row, throughput, seen)
    checkpointer.finish(model, progress)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return progress.history


def _with_bar(batches: Iterator[Batch], progress: Progress, epochs: int, number: int) -> Iterable[Batch]:
    title = f"epoch {progress.epoch}/{epochs}"
    return track(
        ahead(batches), title, number, completed=progress.step, transient=True, disable=not Console().is_terminal
    )


def monitor(
    model: keras.Model,
    batches: Iterable[Batch],
    classes: int,
    at_once: AbstractContextManager[None],
    shown: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Score the averaged weights at the model's output size.

    Args:
        model: has its own weights again afterwards, also where `at_once` is left early.
        batches: images and masks.
        classes: number of classes K.
        at_once: entered around the predictions, so not while weights are exchanged.
        shown: numbers of images, ascending, whose ids are wanted too.

    Returns:
        The confusion matrix, int64 (K, K + 1), and the ids, uint8 (len(shown), h, w).
    """
    matrix, seen, before = np.zeros((classes, classes + 1), np.int64), [], 0
    with averaged(model), at_once:
        for images, masks in batches:
            guess = np.argmax(model.predict_on_batch(images), -1).astype(np.uint8)
            matrix += confusion(masks, guess, classes)
            seen += [guess[number - before] for number in shown if before <= number < before + len(guess)]
            before += len(guess)
    return matrix, np.array(seen)


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Inside, the model has its averaged weights; afterwards exactly those it had.

    keras.callbacks.SwapEMAWeights swaps by adding and subtracting, which rounds: what a training ends with would
    depend on how often it was looked at.
    """
    kept = [keras.ops.copy(variable) for variable in model.variables]  # a prediction cut off on JAX leaves none whole
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(keras.ops.copy(variable))  # JAX would give away the average's array with the weight's
    try:
        yield
    finally:
        for variable, value in zip(model.variables, kept, strict=True):
            variable.assign(value)

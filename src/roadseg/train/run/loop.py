"""The training loop: epochs of steps, the monitored score after each, averaged weights at the end."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.train.data.batches import Batch, Pairs, TrainingBatches, ahead, whole_batches
from roadseg.train.run.checkpoint import Progress
from roadseg.train.run.checkpointing import Checkpointer
from roadseg.train.run.reporting import Reporter
from roadseg.train.run.throughput import Throughput
from roadseg.train.step.guard import Guard

Row = dict[str, float]


def fit(
    model: keras.Model,
    batches: TrainingBatches,
    monitored: Pairs,
    sizes: list[tuple[int, int]],
    reporter: Reporter,
    checkpointer: Checkpointer,
    guard: Guard,
) -> list[Row]:
    """Train from where the last checkpoint stands, and leave the averaged weights in the model.

    Args:
        model: compiled; its output is reduced as the batches' masks are.
        batches: to train on.
        monitored: to score on after each epoch.
        sizes: height and width of the images in each epoch.
        reporter: is told of each epoch.
        checkpointer: restores the state, and saves it from time to time.
        guard: makes the steps.

    Returns:
        A row per epoch: epoch, step, loss, learning_rate, miou and iou.<class> on the monitored drives.

    Raises:
        Interrupted: told to stop; the state is saved.
    """
    progress, traced, names = checkpointer.start(model), set[tuple[int, int]](), monitored.shards.classes.names
    while progress.epoch <= len(sizes):
        size, throughput = sizes[progress.epoch - 1], Throughput()
        made = batches.of_epoch(progress.epoch, size, skip=progress.step)
        for pair in throughput.watch(_with_bar(made, progress, len(sizes), batches.steps * batches.accumulate)):
            with nullcontext() if size in traced else checkpointer.building(model, progress):
                loss = guard.step(*pair, progress.epoch, progress.step)
            traced.add(size)
            progress.losses += [] if loss is None else [loss]
            progress.step += 1
            throughput.images += len(pair[0])
            checkpointer.after_step(model, progress)
        looks = checkpointer.alive(whole_batches(monitored, batches.batch, batches.reduction), progress)
        with checkpointer.saving(model, progress):
            matrix, seen = score_monitored(model, looks, len(names), checkpointer.at_once(progress), reporter.shown)
        row = _row(model, progress, batches.steps) | _scores(matrix, names)
        progress = Progress(progress.epoch + 1, history=[*progress.history, row])
        reporter.after_epoch(row, throughput, seen)
    checkpointer.finish(model, progress)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return progress.history


def _row(model: keras.Model, progress: Progress, steps: int) -> Row:
    return {
        "epoch": progress.epoch,
        "step": progress.epoch * steps,
        "loss": float(np.mean(progress.losses)) if progress.losses else np.nan,
        "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
    }


def _scores(matrix: np.ndarray, names: list[str]) -> Row:
    of_classes = {f"iou.{name}": float(value) for name, value in zip(names, iou(matrix), strict=True)}
    return {"miou": mean_iou(matrix), **of_classes}


def _with_bar(batches: Iterator[Batch], progress: Progress, epochs: int, number: int) -> Iterable[Batch]:
    title = f"epoch {progress.epoch}/{epochs}"
    return track(
        ahead(batches), title, number, completed=progress.step, transient=True, disable=not Console().is_terminal
    )


def score_monitored(
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

"""The training loop: epochs of steps, the monitored score after each, averaged weights at the end."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.train.batches import Pairs, ahead, epoch_batches, steps_per_epoch, whole_batches
from roadseg.train.losses import SegmentationLoss, class_weights
from roadseg.train.models.known import Architecture

Row = dict[str, float]


def compiled(
    architecture: Architecture,
    pixels: np.ndarray,
    steps: int,
    *,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    clip: float,
    average: float,
    balance: float,
    dice: float,
) -> keras.Model:
    """Build the model with its loss and optimiser.

    Args:
        architecture: which model.
        pixels: integer (K,), training pixels of each class.
        steps: of the whole training.
        learning_rate: peak, reached after the `warmup` share of the steps, then a cosine to 0.
        weight_decay: decoupled, on kernels only.
        clip: largest norm of all gradients together.
        average: momentum of the averaged weights, per step.
        balance: exponent of the class weights.
        dice: weight of the Dice term.
    """
    model = architecture.build(len(pixels))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=learning_rate, warmup_steps=max(1, round(warmup * steps))
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=weight_decay,
        beta_2=0.99,
        global_clipnorm=clip,
        use_ema=True,
        ema_momentum=average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = SegmentationLoss(class_weights(pixels, balance), dice, architecture.output == "logits")
    model.compile(optimizer, loss, jit_compile=False)  # XLA never pays on a CPU
    return model


def fit(
    model: keras.Model,
    architecture: Architecture,
    train: Pairs,
    monitored: Pairs,
    *,
    epochs: int,
    batch: int,
    sizes: list[tuple[int, int]],
    views: dict[str, Any],
    names: list[str],
    after_epoch: Callable[[Row], None],
) -> list[Row]:
    """Train, and leave the averaged weights in the model.

    Args:
        model: compiled; computes what `architecture` says.
        architecture: how far masks are reduced.
        train, monitored: see `batches.split_monitored`.
        epochs: passes over `train`.
        batch: pairs in a step.
        sizes: height and width of the images in each epoch.
        views: seed, crop_min, aspect and colour of `batches.epoch_batches`.
        names: of the classes.
        after_epoch: is told each row of the history as it comes.

    Returns:
        A row per epoch: epoch, step, loss, learning_rate, miou and iou.<class> on the monitored drives.
    """
    history, console = [], Console()
    steps = steps_per_epoch(len(train), batch)
    for epoch in range(1, epochs + 1):
        batches = epoch_batches(
            train, epoch=epoch, batch=batch, size=sizes[epoch - 1], reduction=architecture.reduction, **views
        )
        shown = track(ahead(batches), f"epoch {epoch}/{epochs}", steps, transient=True, disable=not console.is_terminal)
        losses = [_step(model, *pair) for pair in shown]
        matrix = monitor(model, whole_batches(monitored, batch, architecture.reduction), len(names))
        row: Row = {
            "epoch": epoch,
            "step": epoch * steps,
            "loss": float(np.mean(losses)),
            "learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)),
            "miou": mean_iou(matrix),
            **{f"iou.{name}": float(value) for name, value in zip(names, iou(matrix), strict=True)},
        }
        history.append(row)
        after_epoch(row)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return history


def monitor(model: keras.Model, batches: Any, classes: int) -> np.ndarray:
    """Confusion matrix of the averaged weights at the model's output size, int64 (K, K + 1)."""
    averaged = keras.callbacks.SwapEMAWeights()
    averaged.set_model(model)
    averaged.on_predict_begin()
    try:
        matrix = np.zeros((classes, classes + 1), np.int64)
        for images, masks in batches:
            guess = np.argmax(model.predict_on_batch(images), -1).astype(np.uint8)
            matrix += confusion(masks, guess, classes)
        return matrix
    finally:
        averaged.on_predict_end()


def _step(model: keras.Model, images: np.ndarray, masks: np.ndarray) -> float:
    return float(model.train_on_batch(images, masks, return_dict=True)["loss"])

"""A model with its loss and its optimiser, ready for its first step."""

import keras
import numpy as np

from roadseg.train.losses.segmentation import SegmentationLoss, class_weights
from roadseg.train.models.known import Architecture
from roadseg.train.params import StepRecipe
from roadseg.train.step.gradient_accumulation import adamw
from roadseg.train.step.guard import skipping


def compiled(architecture: Architecture, pixels: np.ndarray, steps: int, recipe: StepRecipe) -> keras.Model:
    """Build the model with its loss and optimiser.

    The learning rate rises to its peak in the `warmup` share of the steps, then falls in a cosine to 0.

    Args:
        architecture: which model.
        pixels: integer (K,), training pixels of each class.
        steps: of the whole training.
        recipe: of optimiser and loss.
    """
    model = architecture.build(len(pixels))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=max(1, round(recipe.warmup * steps))
    )
    optimizer = adamw(
        schedule,
        recipe.accumulate,
        weight_decay=recipe.weight_decay,
        beta_2=0.99,
        global_clipnorm=recipe.clip,
        use_ema=True,
        ema_momentum=recipe.average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    weights, from_logits = class_weights(pixels, recipe.balance), architecture.output == "logits"
    loss = SegmentationLoss(weights, recipe.dice, from_logits, lovasz=recipe.lovasz, hard=recipe.hard)
    guarded = skipping(optimizer)
    # under TensorFlow XLA never pays on a CPU; JAX without it makes each operation by itself
    model.compile(guarded, loss, jit_compile=keras.backend.backend() == "jax")
    guarded.build(model.trainable_variables)  # so that a checkpoint finds its variables
    return model

"""A model with its loss and its optimiser, ready for its first step."""

import keras
import numpy as np

from roadseg.train.losses.segmentation import SegmentationLoss, class_weights
from roadseg.train.models.known import Architecture
from roadseg.train.models.pretrained_unet import encoder_paths
from roadseg.train.params import StepRecipe
from roadseg.train.step.flat_optimizer import FlatOptimizer, Slower
from roadseg.train.step.guard import GuardedModel


def compiled(architecture: Architecture, pixels: np.ndarray, steps: int, recipe: StepRecipe) -> GuardedModel:
    """Build the model with its loss and optimiser.

    The learning rate rises to its peak in the `warmup` share of the steps, then falls in a cosine to 0. That of a
    pretrained encoder is its `encoder_rate` share, and 0 in the first `encoder_frozen` share of the steps.

    Args:
        architecture: which model.
        pixels: integer (K,), training pixels of each class.
        steps: of the whole training.
        recipe: of optimiser and loss.
    """
    built = architecture.build(len(pixels))
    encoder = frozenset(encoder_paths(built, architecture.encoder))
    slower = Slower(encoder, recipe.encoder_rate, round(recipe.encoder_frozen * steps))
    model = GuardedModel(built.inputs, built.outputs[0], name=built.name)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=max(1, round(recipe.warmup * steps))
    )
    optimizer = FlatOptimizer(
        schedule,
        weight_decay=recipe.weight_decay,
        beta_2=0.99,
        clip=recipe.clip,
        average=recipe.average,
        accumulate=recipe.accumulate,
        muon=recipe.muon,
        slower=slower if encoder and (slower.share, slower.frozen) != (1.0, 0) else None,
    )
    weights, from_logits = class_weights(pixels, recipe.balance), architecture.output == "logits"
    loss = SegmentationLoss(weights, recipe.dice, from_logits, lovasz=recipe.lovasz, hard=recipe.hard)
    # under TensorFlow XLA never pays on a CPU; JAX without it makes each operation by itself
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    optimizer.build(model.trainable_variables)  # so that a checkpoint finds its variables
    return model

"""The section `train` of params.yaml, and what its `auto` becomes on this machine."""

import os
from typing import Annotated, Literal

from pydantic import Field

from roadseg.contracts.params import Section
from roadseg.contracts.shards import Shards
from roadseg.machine.hardware import capabilities
from roadseg.machine.precision import AskedPrecision, Precision, resolve_precision
from roadseg.train.data.view import ViewRecipe

Pretrained = Literal[
    "lite0",
    "lite1",
    "lite2",
    "efficientnetv2b0",
    "efficientnetv2b1",
    "efficientnetv2b2",
    "efficientnetv2b3",
    "mobilenetv3",
    "resnet50v2",
    "convnext",
]
CHAINS = 2  # of kernels in a step on a CPU, see `GuardedModel`; more make what is normalised together too few


class Extent(Section):
    """What is trained, and how long."""

    model: Literal["small", "base", "large", "tutorial", Pretrained] = Field(
        description="which U-Net: small for ten minutes on two cores, base from 15 on, large for a GPU, tutorial as a "
        "baseline; `roadseg models pretrained` shows the rest"
    )
    epochs: int = Field(gt=0, description="passes over the training images")
    batch: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        description="images in a batch; auto: 8, or as many of them as fit into the memory"
    )


class StepRecipe(Section):
    """What a step does: the optimiser's part of the section, and the loss's."""

    accumulate: int = Field(gt=0, description="batches whose mean gradient makes a step; 1: a step for each")
    learning_rate: float = Field(gt=0, description="peak of warm-up and cosine")
    muon: int = Field(
        ge=0,
        description="every so many steps dense kernels larger than 1x1, of 8 channels or more, move, by Muon; 0: AdamW "
        "moves all weights, as tutorial wants, whose kernels are too wide for Muon",
    )
    weight_decay: float = Field(ge=0, description="decoupled, on kernels only")
    encoder_rate: float = Field(ge=0, le=1, description="rate of a pretrained encoder, as a share of learning_rate")
    encoder_frozen: float = Field(ge=0, lt=1, description="first share of the steps, in which such an encoder rests")
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    clip: float = Field(gt=0, description="largest norm of all gradients together")
    average: float = Field(ge=0, lt=1, description="momentum of the averaged weights that are kept")
    balance: float = Field(ge=0, le=1, description="exponent of the class weights; 0 weighs all alike")
    dice: float = Field(ge=0, description="weight of the Dice term beside cross-entropy")
    lovasz: float = Field(ge=0, description="weight of the Lovasz-Softmax term beside cross-entropy; 0 is off")
    hard: float = Field(ge=0, le=1, description="share of the pixels, the hardest, for cross-entropy; 0 and 1 are all")


class TrainParams(ViewRecipe, StepRecipe, Extent):  # the keys of the last base come first
    """The section `train`; what needs a part of it asks for that base."""

    reduced_share: float = Field(ge=0, le=1, description="first share of the epochs, at three quarters of the size")
    monitor: float = Field(gt=0, lt=1, description="share of the training drives held out for the curves")
    init: str = Field(
        pattern="^(none|[0-9a-f]{64})$", description="weights to start from, by digest (`roadseg models init`), or none"
    )
    precision: AskedPrecision = Field(description="auto: bfloat16 on tensor cores, AMX or AVX512-BF16")
    threads: int = Field(gt=0, description="of the CPU; another number gives other rounding")
    seed: int = Field(ge=0, description="of weights, order and views")


class Resolved(TrainParams):
    """Without `auto`: what the fingerprint knows and the card records."""

    batch: int
    precision: Precision


def resolve(train: TrainParams, shards: Shards) -> Resolved:
    """Turn every `auto` into what this machine is fast at and has room for."""
    configure_tensorflow(train.threads)
    from roadseg.train.models.known import MODELS  # late: it loads Keras
    from roadseg.train.step import memory

    batch = train.batch
    if batch == "auto":
        size, sorts = (shards.height, shards.width), train.lovasz > 0
        batch = memory.auto_batch(MODELS[train.model], shards.classes.count, size, sorts)
    precision = resolve_precision(train.precision, capabilities())
    return Resolved(**train.model_dump() | {"batch": batch, "precision": precision})


def configure_tensorflow(threads: int) -> None:
    """Set what TensorFlow reads when it is imported; a step is `CHAINS` chains of kernels, which share the threads."""
    os.environ["TF_DETERMINISTIC_OPS"] = "1"
    os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(1, threads // CHAINS))


def epoch_sizes(height: int, width: int, stride: int, epochs: int, reduced_share: float) -> list[tuple[int, int]]:
    """Height and width of the images in each epoch: three quarters, rounded to the stride, then whole."""
    reduced = (_three_quarters(height, stride), _three_quarters(width, stride))
    first = round(reduced_share * epochs)
    return [reduced] * first + [(height, width)] * (epochs - first)


def _three_quarters(side: int, stride: int) -> int:
    return max(stride, round(side * 0.75 / stride) * stride)

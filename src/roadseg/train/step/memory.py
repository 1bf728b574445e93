"""What a training step needs of the memory: a batch for `auto`, and what fits where a step did not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from roadseg.contracts.batch_size import fitting_batch
from roadseg.contracts.errors import UsageError
from roadseg.machine.hardware import device_memory
from roadseg.train.models.cost import cost
from roadseg.train.models.known import Architecture

AUTO_BATCH = 8  # images; what the other parameters were chosen with


@contextmanager
def enough_memory(batch: int, step: Callable[[int], object], devices: int = 1, single: bool = True) -> Iterator[None]:
    """Around a step: where it runs out of memory, find out how many images would have fitted.

    Args:
        batch: images in the step.
        step: the same step with fewer images; what it changes is lost, since the training ends.
        devices: that share the images evenly.
        single: whether no other process makes the step too, so that this one may try fewer.

    Raises:
        UsageError: out of memory; names the key, the batch and one that fits.
    """
    try:
        yield
        return
    except Exception as error:
        if not out_of_memory(error):
            raise
        said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:200]
    fits = _largest_that_fits(batch, step, devices) if single else None
    remedy = f"{fits} fit: set train.batch in params.yaml to {fits}, or to auto"
    if fits is None:
        remedy = "set train.batch in params.yaml to a smaller one, and train.accumulate to a larger"
    elif fits == 0:
        remedy = "not even one fits: lower preprocess.height and width, or take a smaller train.model"
    raise UsageError(f"params.yaml: train.batch: a step of {batch} images ran out of memory ({said}); {remedy}")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of TensorFlow, JAX or Python says so; neither needs to be imported."""
    said = f"{type(error).__name__} {error}".lower()
    words = ("resourceexhausted", "resource_exhausted", "out of memory", "out_of_memory")
    return isinstance(error, MemoryError) or any(word in said for word in words)


def _largest_that_fits(batch: int, step: Callable[[int], object], devices: int) -> int:
    share = batch // devices // 2  # of a device
    while share:
        try:
            step(share * devices)
        except Exception as error:
            if not out_of_memory(error):
                raise
            share //= 2
        else:
            break
    return share * devices


def auto_batch(architecture: Architecture, classes: int, size: tuple[int, int], sorts: bool) -> int:
    """The batch for `train.batch: auto`: 8, halved until a step takes at most half of the device's memory.

    Args:
        architecture: which model.
        classes: number of classes K.
        size: height and width of a tile.
        sorts: whether the loss sorts the pixels of each class, as Lovasz-Softmax does.
    """
    return fitting_batch(AUTO_BATCH, *step_bytes(architecture, classes, size, sorts), device_memory())


def step_bytes(architecture: Architecture, classes: int, size: tuple[int, int], sorts: bool) -> tuple[int, int]:
    """Bytes of a float32 training step: fixed, and for each image.

    Fixed: each weight, its gradient, two moments (with Muon one, and its moves), its average and a copy. An image: the
    output of each layer and its gradient, and what the loss makes of the logits: logarithm, truth and probability, or
    eight arrays more where it sorts. An upper bound: TensorFlow frees some early (measured: 1.15 times the outputs, not
    2).
    """
    known = cost(architecture, classes, *size)
    logits = 4 * classes * (size[0] // architecture.reduction) * (size[1] // architecture.reduction)
    return 6 * known.weight_bytes, 2 * known.activation_bytes + (11 if sorts else 3) * logits

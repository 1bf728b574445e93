"""All devices of one kind share each batch: data parallelism by `keras.distribution`, which JAX alone can."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from roadseg.contracts.errors import UsageError
from roadseg.train.step.worker_processes import WorkerProcesses


@contextmanager
def sharing(batch: int, processes: WorkerProcesses) -> Iterator[int]:
    """Inside, variables that are made lie on each device, and a step splits its batch over them.

    Args:
        batch: images in a batch, of all processes together.
        processes: that train together, each with as many devices.

    Yields:
        How many devices of this process take part: as many as its images can be dealt to evenly.

    Raises:
        UsageError: the processes cannot have equal parts of a batch.
    """
    if batch % processes.count:
        raise UsageError(
            f"params.yaml: train.batch: {batch} images cannot be dealt to {processes.count} processes evenly: "
            f"take a multiple of {processes.count}"
        )
    found = keras.distribution.list_devices() if keras.backend.backend() == "jax" else [""]
    own = len(found) // processes.count
    used = math.gcd(batch // processes.count, own)
    if used < own:
        print(f"warning: {used} of {own} devices take part, since {own} do not divide a batch of {batch}", flush=True)
    if used * processes.count == 1:
        yield 1
        return
    # the devices of a process lie side by side, so that its images stay with it
    taking = [device for number, device in enumerate(found) if number % own < used]
    print(f"train: batches of {batch} are shared by {len(taking)} devices", flush=True)
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=taking))
    try:
        yield used
    finally:
        keras.distribution.set_distribution(before)

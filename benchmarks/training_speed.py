"""Training images per second of each model, and the share of this machine's peak, all in one run.

Peak is the best of a large matrix product and a large 3x3 convolution with its gradients, float32.
Example: `python -m benchmarks.training_speed`
"""

import json
import os
import time
from collections.abc import Callable

from benchmarks.machine import machine

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

STEP = 3  # forward, and both gradients
BATCH = 16


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Shortest of several runs, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gflops() -> float:
    """Best rate of a matrix product and of a convolution with both gradients, GFLOP/s."""
    import tensorflow as tf

    one, other = tf.random.normal((2048, 2048)), tf.random.normal((2048, 2048))
    product = 2 * 2048**3 / seconds(lambda: tf.matmul(one, other).numpy())
    image, kernel = tf.random.normal((8, 64, 64, 128)), tf.Variable(tf.random.normal((3, 3, 128, 128)))

    @tf.function  # type: ignore[untyped-decorator]
    def convolve() -> tuple[object, object]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            out = tf.nn.conv2d(image, kernel, 1, "SAME")
        gradients: tuple[object, object] = tape.gradient(out, (image, kernel), output_gradients=out)
        return gradients

    convolution = 3 * 2 * 8 * 64 * 64 * 9 * 128 * 128 / seconds(convolve)
    return max(product, convolution) / 1e9


def training_gflop(name: str, height: int, width: int) -> float:
    """Of one training image, forward and backward."""
    from roadseg.train.models.cost import cost
    from roadseg.train.models.known import MODELS

    return STEP * 2 * cost(MODELS[name], 7, height, width).multiply_adds / 1e9


def images_per_second(name: str, height: int, width: int) -> float:
    """Training steps of one model on random pixels."""
    import numpy as np

    from roadseg.train.loop import compiled
    from roadseg.train.models.known import MODELS

    model = compiled(
        MODELS[name],
        np.ones(7),
        100,
        learning_rate=1e-3,
        weight_decay=0.02,
        warmup=0.05,
        accumulate=1,
        clip=5.0,
        average=0.98,
        balance=0.5,
        dice=1.0,
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, height, width, 3), np.uint8)
    reduction = MODELS[name].reduction
    masks = rng.integers(0, 7, (BATCH, height // reduction, width // reduction), np.uint8)
    return BATCH / seconds(lambda: model.train_on_batch(images, masks), 3)


def main() -> None:
    """Measure and print one JSON object."""
    peak = peak_gflops()
    small, tutorial = images_per_second("small", 128, 256), images_per_second("tutorial", 128, 128)
    figures = {
        "peak_gflops": round(peak),
        "small_images_per_second": round(small, 1),
        "small_share": round(small * training_gflop("small", 128, 256) / peak, 2),
        "tutorial_images_per_second": round(tutorial, 2),
        "tutorial_share": round(tutorial * training_gflop("tutorial", 128, 128) / peak, 2),
        "ratio": round(small / tutorial, 1),
        **machine(),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

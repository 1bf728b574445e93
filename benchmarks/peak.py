"""What the machine's best kernels reach, measured where a share of it is wanted."""

import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Shortest of several runs, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gflops() -> dict[str, float]:
    """Best rate of a large matrix product and of a large 3x3 convolution with both gradients, GFLOP/s by precision."""
    return {name: max(_product(name), _convolution(name)) for name in ("float32", "bfloat16")}


def convolution(
    place: tuple[int, ...], kernel: tuple[int, ...], strides: int, transposed: bool, precision: str
) -> Callable[[], object]:
    """Make a convolution and its gradients alone.

    Args:
        place: (N, H, W, C) of what goes in.
        kernel: as Keras stores it.
        strides: the same along both axes.
        transposed: whether it enlarges.
        precision: to compute in.
    """
    import tensorflow as tf

    image, weights = (tf.cast(tf.random.normal(shape), precision) for shape in (place, kernel))
    out_shape = (place[0], place[1] * strides, place[2] * strides, kernel[2])

    def forward() -> Any:
        if transposed:
            return tf.nn.conv2d_transpose(image, weights, out_shape, strides, "SAME")
        return tf.nn.conv2d(image, weights, strides, "SAME")

    return _with_gradients(forward, image, weights)


def _product(precision: str) -> float:
    import tensorflow as tf

    one, other = (tf.cast(tf.random.normal((2048, 2048)), precision) for _ in range(2))
    return 2 * 2048**3 / seconds(lambda: tf.matmul(one, other)[0, 0].numpy()) / 1e9


def _convolution(precision: str) -> float:
    import tensorflow as tf

    image = tf.cast(tf.random.normal((8, 64, 64, 128)), precision)
    weights = tf.cast(tf.random.normal((3, 3, 128, 128)), precision)
    work = _with_gradients(lambda: tf.nn.conv2d(image, weights, 1, "SAME"), image, weights)
    return 3 * 2 * 8 * 64 * 64 * 9 * 128 * 128 / seconds(work) / 1e9


def _with_gradients(forward: Callable[[], Any], image: Any, weights: Any) -> Callable[[], object]:
    import tensorflow as tf

    def work() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([image, weights])
            out = forward()
        gradients = tape.gradient(out, [image, weights], output_gradients=out)
        return [gradient[0, 0, 0, 0] for gradient in gradients]

    traced: Callable[[], object] = tf.function(work, autograph=False)
    return traced

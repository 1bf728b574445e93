"""Muon: a kernel moves by its momentum with all singular values brought near 1, so that no direction is left behind.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the length of a step, which
lets it share AdamW's rate and decay, by Liu et al., "Muon is Scalable for LLM Training", arXiv 2502.16982, 2025.
"""

from collections import defaultdict
from typing import Any

from keras import ops

from roadseg.machine.hardware import has_gpu
from roadseg.train.step.parts import Move, Part, joined

MOMENTUM = 0.95
LENGTH = 0.2  # root mean square of a step's weights at a rate of 1, about AdamW's
QUINTIC, TIMES = (3.4445, -4.7750, 2.0315), 5  # Jordan's: singular values end between 0.7 and 1.2
NARROWEST = 8  # channels; fewer are the picture's own, or a depthwise kernel's one


def is_matrix(shape: tuple[int, ...]) -> bool:
    """Whether Muon moves such a kernel: a dense convolution's, larger than 1x1."""
    return len(shape) == 4 and shape[0] * shape[1] > 1 and min(shape[2:]) >= NARROWEST


def orthogonalised(matrices: Any) -> Any:
    """Bring all singular values near 1 by Newton and Schulz' iteration.

    On a CPU at two fifths of its usual cost: an iteration is x <- x p(x'x), and these polynomials of one matrix
    commute, so only their product is worked out, and x multiplied once. That takes true float32; GPUs round what they
    multiply to TF32, with which the usual way stays within its bounds and this one does not.

    Args:
        matrices: float32 (N, rows, columns).

    Returns:
        Float32, the same shape; zeros stay zeros.
    """
    matrices = matrices / (ops.sqrt(ops.sum(ops.square(matrices), axis=(1, 2), keepdims=True)) + 1e-12)
    return _step_by_step(matrices) if has_gpu() else ops.matmul(matrices, _product(_gram(matrices)))


def _gram(matrices: Any) -> Any:
    return ops.matmul(ops.transpose(matrices, (0, 2, 1)), matrices)


def _product(gram: Any) -> Any:
    """Of all polynomials, given the first matrices' own products, float32 (N, columns, columns)."""
    (a, b, c), one = QUINTIC, ops.eye(gram.shape[-1], dtype="float32")
    product = None
    for time in range(TIMES):
        factor = a * one + b * gram + c * ops.matmul(gram, gram)
        product = factor if product is None else ops.matmul(product, factor)
        if time < TIMES - 1:
            gram = ops.matmul(ops.matmul(factor, gram), factor)
    return product


def _step_by_step(matrices: Any) -> Any:
    a, b, c = QUINTIC
    for _ in range(TIMES):
        gram = _gram(matrices)
        matrices = a * matrices + ops.matmul(matrices, b * gram + c * ops.matmul(gram, gram))
    return matrices


class MuonPart(Part):
    """Moves in each `every`-th step, then that many times as far, since the iteration is what a step costs."""

    def __init__(self, *own: Any, every: int, **shared: Any) -> None:
        """See `Part`."""
        super().__init__(*own, **shared)
        self._every = every

    def _moved(self, weights: Any, gradient: Any, move: Move) -> Any:
        momentum = ops.where(move.stepped, MOMENTUM, 1.0)
        self._momentum.assign(gradient + (self._momentum - gradient) * momentum)
        ahead = gradient + (self._momentum - gradient) * MOMENTUM  # Nesterov's
        due = ops.logical_and(ops.greater(move.rate, 0), ops.equal(ops.mod(move.number + 1, self._every), 0))
        far = ops.cond(due, lambda: self._direction(ahead), lambda: ops.zeros_like(ahead))
        return weights - far * (move.rate * self._every)

    def _direction(self, flat: Any) -> Any:
        """A step at a rate of 1; kernels of one shape are worked on together."""
        pieces, of_shape = self.pieces(flat), defaultdict(list)
        for number, variable in enumerate(self._variables):
            of_shape[tuple(variable.shape)].append(number)
        for (height, width, channels, filters), numbers in of_shape.items():
            shape = (height * width * channels, filters)
            matrices = ops.stack([ops.reshape(pieces[number], shape) for number in numbers])
            moves = orthogonalised(matrices) * (LENGTH * max(shape) ** 0.5)
            for number, each in zip(numbers, ops.unstack(moves, len(numbers)), strict=True):
                pieces[number] = each
        return joined(pieces)

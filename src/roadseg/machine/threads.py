"""How TensorFlow's kernels share the cores on a CPU.

With two cores a kernel that has both is hardly faster than one that has one, since waking threads costs more than they
do; two kernels at once are: docs/results/training.md.
"""

import os

AT_ONCE = 4  # kernels; as many images are predicted side by side


def settle_threads() -> None:
    """Set what the user has not set; call it before TensorFlow is imported."""
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores // AT_ONCE)))

"""Which kernels TensorFlow computes with on a CPU, and how they share the cores.

With two cores a kernel that has both is hardly faster than one that has one, since waking threads costs more than they
do; two kernels at once are: docs/results/training.md.
"""

import os
import platform

AT_ONCE = 4  # kernels; as many images are predicted side by side


def settle_kernels() -> None:
    """Set what the user has not set; call it before TensorFlow is imported."""
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores // AT_ONCE)))
    if platform.machine() == "x86_64":  # by itself TensorFlow has oneDNN's on newer ones alone
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

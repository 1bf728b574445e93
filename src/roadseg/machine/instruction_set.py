"""Which instructions the backend computes with: they decide how sums are rounded, and so the bytes of a training."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# oneDNN's names, from least to most, and the processor's flags that each asks for beside those before it
X86 = {
    "sse41": {"sse4_1"},
    "avx": {"avx"},
    "avx2": {"avx2"},
    "avx512_core": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512_core_vnni": {"avx512_vnni"},
    "avx512_core_bf16": {"avx512_bf16"},
    "avx512_core_fp16": {"avx512_fp16"},
    "avx512_core_amx": {"amx_tile", "amx_int8", "amx_bf16"},
    "avx512_core_amx_fp16": {"amx_fp16"},
}
WITHOUT = " without oneDNN"
BY_ONEDNN = " by oneDNN"  # after the name of a set for which TensorFlow has oneDNN only when told so
BY_ITSELF = {"avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"}  # has it
BESIDE = {"avx512_core_fp16"}  # processors with AMX need not have it
ALSO = {"avx2_vnni": "avx2", "avx2_vnni_2": "avx2", "avx10_1_512": "avx512_core_fp16"}
ALSO |= {"avx10_1_512_amx": "avx512_core_amx", "avx10_1_512_amx_fp16": "avx512_core_amx_fp16"}


def instruction_set(capabilities: Sequence[str] = ()) -> str:
    """Name what decides rounding here, as the backend uses it.

    Args:
        capabilities: compute capability (`9.0`) of each GPU that the backend computes on; none: the processor.

    Returns:
        `cuda 9.0` for GPUs; for an x86 processor oneDNN's name, such as `avx512_core_amx` or `avx2`, no higher than
        `ONEDNN_MAX_CPU_ISA` allows; `x86_64 without oneDNN` and `avx2 by oneDNN` where TensorFlow was told so against
        its habit; for others the kind of machine, such as `aarch64`. JAX reads neither variable.

    Source: oneDNN's "CPU Dispatcher Control"; `DefaultOneDnnPolicy` in tensorflow/core/util/port.cc.
    """
    if capabilities:
        return f"cuda {', '.join(sorted(set(capabilities), key=float))}"
    flags, on_jax = _flags(), os.environ.get("KERAS_BACKEND") == "jax"
    told = "" if on_jax else os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower()
    if told in ("0", "false"):
        return f"{platform.machine()}{WITHOUT}"  # which sums in another order, and has no AMX
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    asked = "" if on_jax else limit.lower()
    most = ALSO.get(asked, asked)
    best = None
    for name, wanted in X86.items():
        if wanted <= flags:
            best = name
        elif name not in BESIDE:
            break
        if name == most:
            break
    if best and told in ("1", "true") and not BY_ITSELF & flags:
        return best + BY_ONEDNN
    return best or platform.machine()


def _flags() -> set[str]:
    """Feature flags of the first core; none where the kernel does not list them."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return set()
    return set(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())

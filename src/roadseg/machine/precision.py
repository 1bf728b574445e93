"""Which precision a device is fast at; what it was is recorded wherever it was used."""

import os
from typing import Literal

from roadseg.machine.instruction_set import BY_ONEDNN, WITHOUT, instruction_set

Precision = Literal["float32", "bfloat16"]
AskedPrecision = Literal["auto", "float32", "bfloat16"]
NO_BFLOAT16 = {"sse41", "avx", "avx2"}  # oneDNN's kernels for it want AVX-512
DOT_PRODUCTS = {"avx512_core_bf16", "avx512_core_fp16"}  # sets whose dot products of bfloat16 TensorFlow's kernels take
MIN_BFLOAT16_CAPABILITY = 8.0  # compute capability whose tensor cores have it


def resolve_precision(asked: AskedPrecision, capabilities: list[str]) -> Precision:
    """Turn `auto` into what the device is fast at: bfloat16 where it has units for it, else float32.

    Args:
        asked: of params.yaml.
        capabilities: compute capability of each GPU that the backend computes on; none: the CPU, which wants AMX or,
            under TensorFlow, AVX-512's dot products of bfloat16, and the backend's leave to use them.
    """
    if asked != "auto":
        return asked
    if capabilities:
        return "bfloat16" if min(map(float, capabilities)) >= MIN_BFLOAT16_CAPABILITY else "float32"
    name, on_jax = instruction_set(), os.environ.get("KERAS_BACKEND") == "jax"
    return "bfloat16" if "amx" in name or (name in DOT_PRODUCTS and not on_jax) else "float32"


def sums_bfloat16_in_float32() -> bool:
    """Whether the processor's kernels for bfloat16 sum in float32; without such kernels TensorFlow rounds every sum."""
    name = instruction_set()
    return not name.endswith(WITHOUT) and name.removesuffix(BY_ONEDNN) not in NO_BFLOAT16

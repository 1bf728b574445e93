"""Which precision a device is fast at; what it was is recorded wherever it was used."""

from typing import Literal

from roadseg.machine.instruction_set import instruction_set

Precision = Literal["float32", "bfloat16"]
AskedPrecision = Literal["auto", "float32", "bfloat16"]
NO_BFLOAT16 = {"sse41", "avx", "avx2"}  # oneDNN's kernels for it want AVX-512
MIN_BFLOAT16_CAPABILITY = 8.0  # compute capability whose tensor cores have it


def resolve_precision(asked: AskedPrecision, capabilities: list[str]) -> Precision:
    """Turn `auto` into what the device is fast at: bfloat16 where it has units for it, else float32.

    Args:
        asked: of params.yaml.
        capabilities: compute capability of each GPU that the backend computes on; none: the CPU, which wants AMX,
            and the backend's leave to use it.
    """
    if asked != "auto":
        return asked
    if capabilities:
        return "bfloat16" if min(map(float, capabilities)) >= MIN_BFLOAT16_CAPABILITY else "float32"
    return "bfloat16" if "amx" in instruction_set() else "float32"


def sums_bfloat16_in_float32() -> bool:
    """Whether the processor's kernels for bfloat16 sum in float32; without such kernels TensorFlow rounds every sum."""
    return instruction_set() not in NO_BFLOAT16

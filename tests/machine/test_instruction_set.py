import platform
from pathlib import Path

import pytest

from roadseg.machine import instruction_set as module
from roadseg.machine.instruction_set import instruction_set
from roadseg.machine.precision import resolve_precision, sums_bfloat16_in_float32

OLD = "fpu sse4_1 sse4_2 avx"
HASWELL = f"{OLD} avx2 fma"
SKYLAKE = f"{HASWELL} avx512f avx512bw avx512dq avx512vl"
COOPER = f"{SKYLAKE} avx512_vnni avx512_bf16"
SAPPHIRE = f"{COOPER} avx512_fp16 amx_tile amx_int8 amx_bf16"
WITHOUT_FP16 = f"{COOPER} amx_tile amx_int8 amx_bf16"
CASES = [
    (OLD, "", "avx"),
    (HASWELL, "", "avx2"),
    (SKYLAKE, "", "avx512_core"),
    (f"{HASWELL} avx512f", "", "avx2"),
    (COOPER, "", "avx512_core_bf16"),
    (SAPPHIRE, "", "avx512_core_amx"),
    (WITHOUT_FP16, "", "avx512_core_amx"),
    (f"{COOPER} amx_tile", "", "avx512_core_bf16"),
    (SAPPHIRE, "AVX512_CORE", "avx512_core"),
    (SAPPHIRE, "AVX2", "avx2"),
    (SAPPHIRE, "avx2_vnni", "avx2"),
    (WITHOUT_FP16, "AVX10_1_512", "avx512_core_bf16"),
    (SAPPHIRE, "AVX512_CORE_AMX", "avx512_core_amx"),
    (HASWELL, "AVX512_CORE", "avx2"),
    (SAPPHIRE, "ALL", "avx512_core_amx"),
]


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel says of the processor."""
    monkeypatch.setattr(module, "CPU_INFO", tmp_path / "cpuinfo")
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(("flags", "limit", "found"), CASES)
def test_the_name_is_the_highest_that_the_processor_has_and_the_limit_allows(
    processor: Path, monkeypatch: pytest.MonkeyPatch, flags: str, limit: str, found: str
) -> None:
    processor.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs :\n\nprocessor : 1\nflags\t\t: {flags}\n")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert instruction_set() == found


def test_another_kind_of_machine_is_called_by_its_name(processor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert instruction_set() == "aarch64"
    processor.write_text("processor : 0\nFeatures : fp asimd\n")
    assert instruction_set() == "aarch64"


def test_gpus_are_named_by_their_capabilities() -> None:
    assert instruction_set(["9.0"]) == instruction_set(["9.0", "9.0"]) == "cuda 9.0"
    assert instruction_set(["10.0", "9.0"]) == "cuda 9.0, 10.0"


@pytest.mark.parametrize(
    ("flags", "told", "found", "sums"),
    [
        (HASWELL, None, "avx2", False),  # TensorFlow's own kernels
        (HASWELL, "1", "avx2 by oneDNN", False),
        (SKYLAKE, "true", "avx512_core by oneDNN", True),
        (f"{HASWELL} avx_vnni", "1", "avx2", False),
        (COOPER, "1", "avx512_core_bf16", True),
        (COOPER, "False", f"{platform.machine()} without oneDNN", False),
    ],
)
def test_other_kernels_than_tensorflow_takes_by_itself_have_another_name(
    processor: Path, monkeypatch: pytest.MonkeyPatch, flags: str, told: str | None, found: str, sums: bool
) -> None:
    processor.write_text(f"flags : {flags}\n")
    if told:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", told)
    assert instruction_set() == found
    assert sums_bfloat16_in_float32() == sums
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "oneDNN" not in instruction_set()


def test_tensorflow_without_onednn_has_no_amx_and_jax_reads_no_variable_of_onednn(
    processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor.write_text(f"flags : {SAPPHIRE}\n")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert instruction_set() == f"{platform.machine()} without oneDNN"
    assert resolve_precision("auto", []) == "float32"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert instruction_set() == "avx512_core_amx"
    assert resolve_precision("auto", []) == "bfloat16"


def test_jax_computes_in_float32_where_only_tensorflow_has_kernels_for_dot_products(
    processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor.write_text(f"flags : {COOPER}\n")
    assert resolve_precision("auto", []) == "bfloat16"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert resolve_precision("auto", []) == "float32"

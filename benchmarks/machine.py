"""What the figures were measured on."""

import os
import platform
from pathlib import Path


def machine() -> dict[str, str | int]:
    """The CPU's name, the cores this process may use and the vector units that decide the speed of a training."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    units = [unit for unit in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if unit in fields.get("flags", "").split()]
    model = fields.get("model name", platform.processor())
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return {"cpu": f"{model} ({family})", "cores": len(os.sched_getaffinity(0)), "units": " ".join(units)}

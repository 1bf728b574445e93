"""What a stage command leaves behind for whoever started it: that it ran, how it ended, with which code."""

import os
from pathlib import Path
from typing import Any

from roadseg.contracts.files import read_json, write_json

VARIABLE = "ROADSEG_RECEIPT"


def leave_receipt(stage: str, exit_code: int, code: dict[str, str]) -> None:
    """Write the receipt that the environment asks for; the last thing a stage command does.

    Args:
        stage: its name.
        exit_code: one of those in docs/reference.md.
        code: sha256 by path of the stage's code.
    """
    if path := os.environ.get(VARIABLE):
        write_json(Path(path), "receipt", {"stage": stage, "exit": exit_code, "code": code})


def read_receipt(path: Path) -> dict[str, Any] | None:
    """The receipt, or None where no stage command ran."""
    return read_json(path, "receipt", "the stage again") if path.exists() else None

"""What must be settled before Prefect is imported."""

import os
from pathlib import Path

from roadseg.pipeline.environment import settle


def make_ready() -> None:
    """Settle the environment and make Prefect's home, which Prefect looks for when it is imported."""
    settle()
    Path(os.environ["PREFECT_HOME"]).mkdir(mode=0o700, parents=True, exist_ok=True)

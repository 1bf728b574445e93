"""Who talks to MLflow beside a stage; imports no MLflow itself."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from roadseg.pipeline.sidecars import ask, sidecar

REFUSAL_PATIENCE = 90.0  # seconds; a new embedded store alone takes ten


def following() -> AbstractContextManager[None]:
    """Send the journals in home to MLflow while the block runs; `ROADSEG_FOLLOW=off` sends none."""
    if os.environ.get("ROADSEG_FOLLOW") == "off":
        return nullcontext()
    return sidecar("roadseg.tracking.follow", log="follow.log")  # publish sends what it does not come to


def send_refusal(tree: Path) -> str | None:
    """Put the verdict and the page of refused data into MLflow.

    Returns:
        The page's address, or None where MLflow did not take it; `refusal.log` in home says why.
    """
    link: str | None = ask("roadseg.tracking.data_page", str(tree), log="refusal.log", patience=REFUSAL_PATIENCE)
    return link

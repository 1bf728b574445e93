"""The five stages as verbs; DVC calls them, people call `dvc repro`."""

import os
import sys
from pathlib import Path

from roadseg.cli.report import as_other
from roadseg.contracts.errors import DONE, REFUSED
from roadseg.contracts.files import home
from roadseg.contracts.paths import DATA_PAGE, MODEL_PAGE
from roadseg.pipeline.runner import execute
from roadseg.registry.champion import ask_for_champion
from roadseg.tracking.sidecars import following, send_refusal


def run_verb(name: str) -> int:
    """Run a stage, followed by MLflow and by pages; returns its exit code."""
    return execute(name, follower=following, pages=pages)


def pages(stage: str, exit_code: int) -> None:
    """Make the page about what a stage has left, and show a refusal in MLflow."""
    tree, follows = Path.cwd(), os.environ.get("ROADSEG_FOLLOW") != "off"
    if stage == "validate" and exit_code in (DONE, REFUSED):
        from roadseg.pages.data_page import write_data_page  # late: only one stage needs it

        write_data_page(tree, DATA_PAGE)
        print(f"page: {DATA_PAGE}")
        if exit_code == REFUSED and follows:
            _show_refusal(tree)
    if stage == "evaluate" and exit_code == DONE:
        from roadseg.pages.model_page import write_model_page

        there = os.environ.get("MLFLOW_TRACKING_URI") or (home() / "mlflow").is_dir()  # else nothing was ever promoted
        write_model_page(tree, MODEL_PAGE, as_other(ask_for_champion()) if there and follows else None)
        print(f"page: {MODEL_PAGE}")


def _show_refusal(tree: Path) -> None:
    if link := send_refusal(tree):
        print(f"page in MLflow: {link}")
    else:
        print(f"warning: MLflow did not take the page, see {home() / 'refusal.log'}", file=sys.stderr)

"""Scan and validate in the current folder with the project's own parameters, and what they leave there."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from trees import ROOT, scan_params

from roadseg.scan.stage import run as scan
from roadseg.validate import stage

SCAN, MANIFEST = Path("data/scan.parquet"), Path("data/manifest.parquet")


def judge(**changes: float) -> None:
    """Validate what was scanned, with some thresholds changed."""
    stage.run(validate=stage.ValidateParams(**yaml.safe_load((ROOT / "params.yaml").read_text())["validate"] | changes))


def scan_and_judge() -> None:
    scan(scan=scan_params())
    judge()


def flagged() -> list[dict[str, Any]]:
    return pq.read_table("reports/flagged.parquet").to_pylist()


def passed() -> bool:
    return json.loads(Path("reports/verdict.json").read_text())["passed"]


def said(printed: str, severity: str) -> list[str]:
    """The lines of one severity."""
    return [line for line in printed.splitlines() if line.startswith(f"{severity}: ")]

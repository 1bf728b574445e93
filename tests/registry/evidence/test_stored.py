from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq

from roadseg.contracts.bundle import SAMPLES
from roadseg.registry.evidence.stored import training_samples


def test_a_pretrained_encoder_has_seen_no_drive_and_is_no_unknown_ancestor(tmp_path: Path) -> None:
    pq.write_table(SAMPLES.empty_table(), tmp_path / "samples.parquet")
    bundle = SimpleNamespace(folder=tmp_path, card={"fingerprint": "a" * 64, "parent": "pretrained/lite0"})
    stored: Any = SimpleNamespace(version=3, bundle=bundle)
    nobody: Any = None  # MLflow is not asked
    found, unknown = training_samples(nobody, stored)
    assert list(found) == ["version 3"]
    assert unknown == []

"""The loop closes: more drives make a better champion, a worse training never does, and all can be taken back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trees import ROOT

from roadseg.synthetic.dataset import generate

SETTINGS = {"preprocess": {"height": 64, "width": 128}, "promote": {"drives": 4}}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_half_of_the_drives_then_all_then_a_worse_training(tmp_path: Path) -> None:
    generate(tmp_path / "scenes", train=96, val=64, test=0, seed=3)
    command = [sys.executable, "-m", "benchmarks.loop", str(tmp_path / "scenes"), str(tmp_path / "loop")]
    options = ["--epochs", "12", "--fewer", "2", "--settings", json.dumps(SETTINGS)]
    done = subprocess.run([*command, *options], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    half, whole, fewer = (found[name] for name in ("half", "whole", "fewer_epochs"))
    assert (half["outcome"], whole["outcome"]) == ("PROMOTE", "PROMOTE")
    assert whole["images"] == 2 * half["images"]
    assert 0 < whole["difference"]["low"] < whole["difference"]["value"] < whole["difference"]["high"]
    assert fewer["outcome"] != "PROMOTE"
    assert any("mIoU" in reason for reason in fewer["reasons"])
    assert found["reproduce"]["exit"] == 0

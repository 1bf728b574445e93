"""The loop closed once, as a team lives it: half of the drives, the rest, a worse training, back, and a rebuild.

In a clone of this checkout with a home of its own, by the verbs that people type: train on every second drive and
promote; add the other drives (val grows too), train again and promote; train with fewer epochs, which must not be
promoted; roll back; rebuild the champion. Example: `python -m benchmarks.loop idd20k_lite.tar.gz /tmp/loop`
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.machine import machine
from roadseg.intake.archive import unpack
from roadseg.pipeline.settings import change_settings
from roadseg.scan.layouts import idd_lite

ROOT = Path(__file__).parent.parent
HELD = 4  # exit code of `roadseg promote` where it does not


class Team:
    """A clone, and what was done in it."""

    def __init__(self, folder: Path) -> None:
        """Clone into a folder of its own, unless that was done."""
        self.tree, self.log = folder / "tree", folder / "log.txt"
        if not self.tree.exists():
            subprocess.run(["git", "clone", "-q", str(ROOT), str(self.tree)], check=True)
        self._environment = os.environ | {
            "PYTHONPATH": str(self.tree / "src"),
            "ROADSEG_HOME": str(folder / "home"),
            "ROADSEG_PAGES": "off",
        }

    def run(self, *command: str) -> tuple[int, float]:
        """Exit code and seconds of a command; what it says goes to the log."""
        start = time.monotonic()
        with self.log.open("a") as log:
            print("$", *command, file=log, flush=True)
            done = subprocess.run(command, cwd=self.tree, env=self._environment, stdout=log, stderr=log)
        return done.returncode, round(time.monotonic() - start, 1)

    def must(self, *command: str) -> float:
        """Seconds of a command that may not fail."""
        code, seconds = self.run(*command)
        if code:
            sys.exit(f"{' '.join(command)} ended with {code}: see {self.log}")
        return seconds

    def trained_and_judged(self) -> dict[str, Any]:
        """Train, register and promote; what was decided and how long it took."""
        trained = self.must("dvc", "repro", "-q")
        registered = self.must("roadseg", "register")
        code, judged = self.run("roadseg", "promote", "--yes")
        if code not in (0, HELD):
            sys.exit(f"roadseg promote ended with {code}: see {self.log}")
        found = json.loads((self.tree / "reports/decision.json").read_text())
        miou = json.loads((self.tree / "metrics.json").read_text())
        kept = {
            name: found[name] for name in ("outcome", "reasons", "difference", "drives", "left_out") if name in found
        }
        seconds = {"repro": trained, "register": registered, "promote": judged}
        return {"miou": round(miou["miou"], 4), "images": miou["images"], **kept, "seconds": seconds}


def halves(source: Path, folder: Path) -> tuple[Path, Path]:
    """Every second drive of each split in one folder, the others in another; IDD Lite's layout."""
    whole = unpack(source, folder / "whole")
    drives: dict[str, list[str]] = {}
    found = list(idd_lite.find(whole))
    for one in found:
        if one.drive not in (known := drives.setdefault(str(one.split), [])):
            known.append(str(one.drive))
    parts = folder / "first", folder / "second"
    for one in found:
        number = sorted(drives[str(one.split)]).index(str(one.drive)) % 2
        for name in (one.image, one.mask):
            if name:
                target = parts[number] / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (whole / name).rename(target)
    return parts


def main(
    source: Annotated[Path, typer.Argument(help="Data in IDD Lite's layout: an archive or a folder.")],
    folder: Annotated[Path, typer.Argument(help="Made; keeps the clone and the log.")],
    epochs: Annotated[int, typer.Option(help="Of the first two trainings.")] = 16,
    fewer: Annotated[int, typer.Option(help="Of the third.")] = 6,
    settings: Annotated[str, typer.Option(help="Other changes to params.yaml by section, as JSON.")] = "{}",
) -> None:
    """Measure; prints one JSON object."""
    folder.mkdir(parents=True)
    first, second = halves(source, folder)
    team = Team(folder.absolute())
    params = team.tree / "params.yaml"
    for section, values in json.loads(settings).items():
        change_settings(params, section, values)
    change_settings(params, "train", {"epochs": epochs})
    team.must("roadseg", "data", "import", str(first.absolute()))
    found: dict[str, Any] = {"half": team.trained_and_judged()}
    team.must("roadseg", "data", "import", "--add", str(second.absolute()))
    found["whole"] = team.trained_and_judged()
    change_settings(params, "train", {"epochs": fewer})
    found["fewer_epochs"] = team.trained_and_judged()
    found["rollback_seconds"] = team.must("roadseg", "rollback", "--reason", "to see that it works")
    found["rollback_forward_seconds"] = team.must("roadseg", "rollback", "--to", "2", "--reason", "back to the better")
    code, seconds = team.run("roadseg", "reproduce")
    found["reproduce"] = {"exit": code, "seconds": seconds}
    team.must("roadseg", "models", "history")
    about = {"epochs": epochs, "fewer": fewer, "date": time.strftime("%Y-%m-%d"), **machine()}
    print(json.dumps({**found, **about}, indent=1))


if __name__ == "__main__":
    typer.run(main)

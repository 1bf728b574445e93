"""What picking is worth: most labels of a labelled set are hidden, and bought back in three ways at several budgets.

In a clone of this checkout with a home of its own. For each seed a part of the drives is labelled and a model trained;
with it pictures of the hidden drives are picked: `mixed` as `roadseg label pick` does, `uncertainty` alone, and
`random`. Each choice is trained anew and scored on the whole val split. What is not labelled is in
data/quarantine.csv, so that data/raw stays as it is. State stands in FOLDER/state.json after each training, and the
same command goes on from it. Example: `python -m benchmarks.label_replay idd20k_lite.tar.gz /tmp/replay`
"""

import json
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer

from benchmarks.loop import Team
from benchmarks.machine import machine
from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.contracts.quarantine import Quarantined, write_quarantine
from roadseg.drift.frames import Frame
from roadseg.imaging.pixels import read_image
from roadseg.labelling.choose import FLAT, By, Known, choose_pictures, scenes
from roadseg.labelling.embedding import Embedder
from roadseg.labelling.measure import measured
from roadseg.labelling.sources import by_number
from roadseg.pipeline.settings import change_settings
from roadseg.predict.predictor import Predictor

WAYS = get_args(By)
SHARE, WANTED = 0.25, 0.7  # where ways are compared, and what part of random's labels `mixed` should need there
State = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Replay:
    """A clone with the whole set, and the state of the trainings."""

    team: Team
    folder: Path
    rows: list[dict[str, Any]]
    manifest: Manifest

    @property
    def state(self) -> State:
        """What is done, by `seed/way/share`."""
        path = self.folder / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def train(self, key: str, seed: int, labelled: set[str]) -> None:
        """Train on some samples and score on val, unless that was done."""
        if key in self.state:
            return
        out = [row for row in self.rows if row["sample"] not in labelled]
        entries = [Quarantined(row["sample"], row["image_sha"], "hidden for the replay") for row in out]
        write_quarantine(self.team.tree / paths.QUARANTINE, entries)
        change_settings(self.team.tree / paths.PARAMS, "train", {"seed": seed})
        seconds = self.team.must("dvc", "repro", "-q")
        miou = json.loads((self.team.tree / paths.METRICS).read_text())["miou"]
        done = self.state | {key: {"pictures": len(labelled), "miou": miou, "seconds": seconds}}
        kept = self.folder / "bundles" / key.replace("/", "-")
        if key.endswith("/start"):
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.team.tree / paths.BUNDLE, kept)
        (self.folder / "state.json.tmp").write_text(json.dumps(done, indent=1, sort_keys=True))
        (self.folder / "state.json.tmp").replace(self.folder / "state.json")
        print(f"{key}: mIoU {miou:.4f} with {len(labelled)} pictures in {seconds:.0f} s", file=sys.stderr, flush=True)

    def started(self, seed: int, share: float) -> set[str]:
        """Samples of as many drives as hold a share of the pictures."""
        drives = sorted({row["drive"] or row["sample"] for row in self.rows})
        random.Random(seed).shuffle(drives)
        chosen: set[str] = set()
        for drive in drives:
            if len(chosen) >= share * len(self.rows):
                break
            chosen |= {row["sample"] for row in self.rows if (row["drive"] or row["sample"]) == drive}
        return chosen

    def picked(self, seed: int, labelled: set[str], counts: list[int]) -> dict[tuple[By, int], set[str]]:
        """What each way picks of the hidden drives with the first model, by way and number of pictures."""
        bundle = Bundle.open(self.folder / "bundles" / f"{seed}-start")
        raw, embedder = self.team.tree / paths.RAW, Embedder(bundle)
        own = [row for row in self.rows if row["sample"] in labelled]
        pool = sorted(
            (row for row in self.rows if row["sample"] not in labelled),
            key=lambda row: (row["drive"] or "", by_number(row["image"])),
        )
        frames = [Frame(row["sample"], raw / row["image"], row["drive"] or "") for row in pool]
        place = self.folder / f"measured-{seed}"
        pictures = measured(frames, Predictor(bundle, batch="auto"), embedder, place, [])
        scene = scenes([one.drive for one in frames], [None] * len(frames), pictures["phash"])
        vectors = np.stack(list(embedder(read_image(raw / row["image"]) for row in own)))
        hashes = [row["phash"] for row in own if row["contrast"] >= FLAT]
        pixels = np.sum([row["class_pixels"][:-1] for row in own], axis=0)
        known = Known(vectors, frozenset(), np.array(hashes, np.uint64), pixels / pixels.sum())
        found: dict[tuple[By, int], set[str]] = {}
        for way in WAYS:
            chosen = choose_pictures(pictures, scene, known, max(counts), by=way, bits=4, seed=seed)
            names = [pool[one.place]["sample"] for one in chosen]
            for count in counts:
                if len(names) < count:
                    print(f"{way}: only {len(names)} of {count} pictures are no copies", file=sys.stderr)
                found[way, count] = set(names[:count])
        return found


def main(
    archive: Annotated[Path, typer.Argument(help="A labelled set as `roadseg data import` takes it.")],
    folder: Annotated[Path, typer.Argument(help="Where the clone and the state are; the same goes on.")],
    start: Annotated[float, typer.Option(help="Share of the pictures that is labelled at first.")] = 0.1,
    budgets: Annotated[str, typer.Option(help="Shares that are labelled in the end.")] = "0.15,0.175,0.25,0.4",
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the first drives.")] = 3,
    settings: Annotated[str, typer.Option(help="Parameters by section, as JSON.")] = "{}",
) -> None:
    """Replay; print one JSON object, and leave the table in FOLDER/table.txt."""
    replay = prepared(archive, folder, json.loads(settings))
    total, shares = len(replay.rows), [float(share) for share in budgets.split(",")]
    for seed in range(seeds):
        labelled = replay.started(seed, start)
        replay.train(f"{seed}/start", seed, labelled)
        counts = {share: round(share * total) - len(labelled) for share in shares}
        if min(counts.values()) <= 0:
            sys.exit(f"{len(labelled)} of {total} pictures are labelled at first: give larger --budgets")
        chosen = replay.picked(seed, labelled, list(counts.values()))
        for share, count in counts.items():
            for way in WAYS:
                replay.train(f"{seed}/{way}/{share}", seed, labelled | chosen[way, count])
    found = summary(replay.state, shares, seeds)
    (folder / "table.txt").write_text(table(found, shares))
    print(table(found, shares), file=sys.stderr)
    print(json.dumps({"machine": machine(), "pictures": total, "start": start, "seeds": seeds, **found}))


def prepared(archive: Path, folder: Path, settings: dict[str, dict[str, Any]]) -> Replay:
    """Clone and import, unless that was done."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ready").exists():
        shutil.rmtree(folder / "tree", ignore_errors=True)
        team = Team(folder)
        for section, values in settings.items():
            change_settings(team.tree / paths.PARAMS, section, values)
        team.must("roadseg", "data", "import", str(archive.absolute()))
        team.must("dvc", "repro", "-q", "validate")
        shutil.copy2(team.tree / paths.MANIFEST, folder / "manifest.parquet")
        (folder / "ready").touch()
    manifest = read_manifest(folder / "manifest.parquet")
    rows = [row for row in manifest.records("train") if row["mask"]]
    return Replay(Team(folder), folder, rows, manifest)


def summary(state: State, shares: list[float], seeds: int) -> dict[str, Any]:
    """Mean and deviation of mIoU by way and share, and labels that reach what random reaches at `SHARE`."""
    scores = {
        way: [[state[f"{seed}/{way}/{each}"]["miou"] for seed in range(seeds)] for each in shares] for way in WAYS
    }
    means = {way: [float(np.mean(each)) for each in listed] for way, listed in scores.items()}
    spread = {way: [float(np.std(each, ddof=min(1, seeds - 1))) for each in listed] for way, listed in scores.items()}
    begun = [state[f"{seed}/start"] for seed in range(seeds)]
    goal = float(np.interp(SHARE, shares, means["random"]))
    needs = {way: needed(goal, shares, means[way]) for way in WAYS}
    parts = {way: None if share is None else round(share / SHARE, 3) for way, share in needs.items()}
    return {
        "miou": means,
        "deviation": spread,
        "begun": float(np.mean([each["miou"] for each in begun])),
        "goal": goal,
        "labels_for_goal": parts,
        "held": parts["mixed"] is not None and parts["mixed"] <= WANTED,
    }


def needed(goal: float, shares: list[float], means: list[float]) -> float | None:
    """The least share of labels that reaches a score, linear between budgets; None where none does."""
    if means[0] >= goal:
        return shares[0]
    for at in range(1, len(shares)):
        if means[at] >= goal:
            part = (goal - means[at - 1]) / (means[at] - means[at - 1])
            return shares[at - 1] + part * (shares[at] - shares[at - 1])
    return None


def table(found: dict[str, Any], shares: list[float]) -> str:
    """Markdown."""
    heads = [f"{share:.1%}" for share in shares]
    lines = [f"| way | {' | '.join(heads)} | labels for random's score at {SHARE:.0%} |"]
    lines.append("|---" * (len(shares) + 2) + "|")
    for way in WAYS:
        cells = [
            f"{one:.4f} ± {other:.4f}" for one, other in zip(found["miou"][way], found["deviation"][way], strict=True)
        ]
        part = found["labels_for_goal"][way]
        lines.append(f"| {way} | {' | '.join(cells)} | {'more than all' if part is None else f'{part:.2f} of it'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    typer.run(main)

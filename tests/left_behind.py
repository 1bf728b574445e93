"""A checkout with a store of its own, and trainings with all they leave, made in no time."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from roadseg.contracts.files import home
from roadseg.registry import ledger
from roadseg.registry.gc import plan
from roadseg.registry.gc.item import Item
from roadseg.registry.versions import MODEL
from roadseg.tracking.store import connect, create_run, experiment_id

DAYS = 30
LATER = 40 * plan.DAY  # all that the tests make is old by then


@dataclass
class Trained:
    """A training with all it leaves: its run, model, version, lock, objects in the cache, and folders of home."""

    run_id: str
    model_id: str
    version: str
    lock: str
    everything: set[str]


class Place:
    """A checkout whose cache holds what trainings made, and a store of its own."""

    def __init__(self, tree: Path) -> None:
        self.tree, self.client = tree, connect()
        self.git("init", "-q", "-b", "main")
        (tree / ".dvc").mkdir()
        (tree / ".dvc/config").touch()
        (tree / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n")
        (tree / "params.yaml").write_text("train: {init: none}\n")
        self.commit("start")

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
        subprocess.run(["git", *identity, *arguments], cwd=self.tree, check=True, capture_output=True)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def put(self, content: bytes, ending: str = "") -> str:
        name = hashlib.md5(content).hexdigest() + ending
        path = self.tree / ".dvc/cache/files/md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def in_cache(self) -> set[str]:
        return {"".join(path.parts[-2:]) for path in (self.tree / ".dvc/cache/files").rglob("*") if path.is_file()}

    def train(self, word: str, parent: str | None = None) -> Trained:
        fingerprint = hashlib.sha256(word.encode()).hexdigest()
        inside = self.put(f"model of {word}".encode())
        bundle = self.put(json.dumps([{"md5": inside, "relpath": "model.keras"}]).encode(), ".dir")
        raw = self.put(f"data of {word}".encode(), ".dir")
        entry = {"deps": [{"path": "data/raw", "md5": raw}], "outs": [{"path": "models/bundle", "md5": bundle}]}
        lock = yaml.safe_dump({"stages": {"train": entry}})
        run = create_run(self.client, fingerprint).info
        self.client.set_terminated(run.run_id)
        if parent:
            self.client.set_tag(run.run_id, "roadseg.parent", hashlib.sha256(parent.encode()).hexdigest())
            self.client.set_tag(run.run_id, "roadseg.parent.weights", parent[0] * 64)
        self.client.log_text(run.run_id, lock, "dvc.lock")
        model = self.client.create_logged_model(run.experiment_id, word, run.run_id)
        self.client.finalize_logged_model(model.model_id, "READY")
        if not self.client.search_registered_models(f"name = '{MODEL}'"):
            self.client.create_registered_model(MODEL)
        source = f"models:/{model.model_id}"
        version = str(self.client.create_model_version(MODEL, source, run.run_id).version)
        (home() / "runs" / fingerprint).mkdir(parents=True)
        (home() / "runs" / fingerprint / "checkpoint").write_text(word)
        everything = {inside, bundle, raw, run.run_id, model.model_id, version, fingerprint}
        return Trained(run.run_id, model.model_id, version, lock, everything)

    def plan(self, later: float = LATER) -> set[str]:
        return {item.name for item in self.planned(later)}

    def planned(self, later: float = LATER) -> list[Item]:
        return plan.plan(self.tree, DAYS, time.time() + later)


def by_alias(place: Place, trained: Trained) -> Callable[[], None]:
    place.client.set_registered_model_alias(MODEL, "shadow", trained.version)
    return lambda: place.client.delete_registered_model_alias(MODEL, "shadow")


def by_ledger(place: Place, trained: Trained) -> Callable[[], None]:
    experiment = experiment_id(place.client, ledger.EXPERIMENT)
    run_id = place.client.create_run(experiment, tags={"candidate": trained.version}).info.run_id
    return lambda: place.client.delete_run(run_id)

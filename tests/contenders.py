"""Models of known quality in a registry of MLflow, and the tree that has the images they are judged on.

A painter knows each class by its colour. The images are noisy, and a model that prefers one class by `favour` is wrong
the more often the larger that is.
"""

import json
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from bundles import convolution
from mlflow import MlflowClient
from PIL import Image
from trees import ROOT

from roadseg.contracts.bundle import SAMPLES, Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import evaluation_digest, read_evaluation, write_evaluation
from roadseg.contracts.files import digest_file, digest_of
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.machine.instruction_set import instruction_set
from roadseg.registry.evidence.rescore import predict_val, score_into
from roadseg.registry.versions import register
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import create_run

NAME = "idd-level1"
GOOD, BETTER, WORSE = 0.2, 0.0, 0.4  # favour of one class: the less, the better
SETTINGS = {"flip": False, "scales": [1.0], "overlap": 0.0, "precision": "float32"}


def val_tree(tree: Path, drives: int = 16, table: ClassTable | None = None, **promote: Any) -> Path:
    """A tree with two noisy images of each drive in val, and the project's parameters, some of the policy changed."""
    classes, rng, rows = table or ClassTable.find(NAME), np.random.default_rng(0), []
    (tree / "data/raw").mkdir(parents=True, exist_ok=True)
    for number in range(2 * drives):
        mask = np.repeat(np.arange(64, dtype=np.uint8) // 10, 32).reshape(64, 32).T.copy()
        noisy = classes.palette[mask] + rng.normal(0, 45 + number % 7, (32, 64, 3))
        for file, pixels in ((f"{number}.png", noisy.clip(0, 255).astype(np.uint8)), (f"{number}_label.png", mask)):
            Image.fromarray(pixels).save(tree / "data/raw" / file)
        digests = {"image_sha": digest_of(number), "mask_sha": digest_of(-number), "phash": number << 32}
        files = {"image": f"{number}.png", "mask": f"{number}_label.png"}
        facts = {"height": 32, "width": 64, "brightness": number / 64, "sharpness": 50.0 + number}
        drive = f"{number // 2:02}"
        rows.append({"sample": f"val/{drive}/{number}", "split": "val", "drive": drive, **files, **facts, **digests})
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(rows, "folders", classes))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["validate"]["near_duplicate"] = 0
    params["promote"] |= {"drives": 8, "time_factor": 100.0} | promote
    (tree / "params.yaml").write_text(yaml.safe_dump(params))
    return tree


def change_policy(tree: Path, **changes: Any) -> None:
    """Change keys of section `promote` in a tree."""
    params = yaml.safe_load((tree / "params.yaml").read_text())
    params["promote"] |= changes
    (tree / "params.yaml").write_text(yaml.safe_dump(params))


def bundle_of(
    folder: Path, favour: float, seen: list[dict[str, Any]] | None = None, table: ClassTable | None = None, **card: Any
) -> Bundle:
    """A model that prefers the last class by `favour`, trained on the samples in `seen`."""
    classes = table or ClassTable.find(NAME)
    colours = classes.palette[: classes.count] / 255
    bias = -(colours**2).sum(1)
    bias[-1] += favour
    about = {"fingerprint": digest_of(["training", favour]), "instruction_set": instruction_set()}
    found = convolution(folder, classes, 2 * colours.T[None, None], bias, **about | card)
    pq.write_table(pa.Table.from_pylist(seen or [], SAMPLES), folder / "samples.parquet")
    return found


@dataclass
class Contenders:
    """Enters models into the store of `client`; the same model is trained and evaluated once in a test session."""

    client: MlflowClient
    tree: Path
    made: Path
    entered: dict[int, Published] = field(default_factory=dict)

    def enter(
        self,
        favour: float,
        seen: list[dict[str, Any]] | None = None,
        parent: str | None = None,
        scoring: str = "",
        table: ClassTable | None = None,
        **settings: Any,
    ) -> int:
        """Publish and register a model with its evaluation on the tree's val split; its version.

        `parent` is the fingerprint that its weights started from; `scoring` is said to be the code that evaluated it;
        `settings` are of that evaluation.
        """
        val = digest_file(self.tree / "data/manifest.parquet")
        name = digest_of([favour, seen, parent, scoring, settings, val])[:12]
        folder = self.made / name
        if not folder.exists():
            bundle = bundle_of(folder / "bundle", favour, seen, table, parent=parent)
            with chdir(self.tree):
                found = predict_val(bundle, SETTINGS | settings)
            write_evaluation(folder / "evaluation", replace(found, scoring=scoring or found.scoring))
        published = self.publish(folder / "bundle", folder / "evaluation")
        version = register(published)
        self.entered[version] = published
        return version

    def publish(self, bundle: Path, evaluation: Path, named: str | None = None) -> Published:
        """What `publish` leaves of a model and an evaluation, less what nobody asks about here."""
        found, card = read_evaluation(evaluation), Bundle.open(bundle).card
        val, weights = str(found.val_manifest), card["weights"]
        key = named or evaluation_digest(evaluation, found)
        run_id = create_run(self.client, card["fingerprint"]).info.run_id
        self.client.log_artifacts(run_id, str(bundle), "bundle")
        self.client.log_artifacts(run_id, str(evaluation), f"evaluation/{key}")
        self.client.log_metric(run_id, evaluation_key(key, "miou"), 0.5)
        model = self.client.create_logged_model(self.client.get_run(run_id).info.experiment_id, "model", run_id)
        self.client.log_model_artifacts(model.model_id, str(bundle), "artifacts/bundle")
        self.client.finalize_logged_model(model.model_id, "READY")
        about = {"fingerprint": card["fingerprint"], "evaluation": key, "val_manifest": val, "weights": weights}
        return Published(
            run_id,
            str(model.model_id),
            **about,
            commit="c" * 40,
            dirty=False,
            miou=0.5,
            settings=json.dumps(found.settings),
        )


def score_here(_: str, bundle: str, settings: str, folder: str, **__: Any) -> dict[str, Any]:
    """What the sidecar of `rescore` does, in this process, which has Keras loaded already."""
    score_into(Path(bundle), json.loads(settings), Path(folder))
    return {"error": None}

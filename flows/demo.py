"""`make demo`: the whole main job on generated scenes, with a home of its own."""

import json
import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from flows.ready import make_ready
from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home, read_json
from roadseg.intake.install import install
from roadseg.synthetic.dataset import generate
from roadseg.tracking.outage import told

TRAIN, VAL, TEST, SEED = 128, 32, 8, 0


def main() -> None:
    """Make scenes, import them, run the flow, and show what came out."""
    os.environ["ROADSEG_HOME"] = str(Path(".roadseg/demo").absolute())
    make_ready()
    from flows.retrain import run_once  # late: Prefect reads where its home is when it is imported

    try:
        bring_scenes(Path.cwd())
        decision = run_once()
        show(Path.cwd(), str(decision), decision.candidate.version)
    except Exception as error:
        if (line := told(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(line.exit_code)


def bring_scenes(tree: Path) -> None:
    """Generate and import the scenes, unless they are there.

    Raises:
        UsageError: data/raw holds something that the demo did not make.
    """
    raw = tree / paths.RAW
    if raw.exists():
        mark = raw / "synthetic.json"
        made = json.loads(mark.read_text()) if mark.exists() else {}
        if not [made.get(key) for key in ("train", "val", "test", "seed")] == [TRAIN, VAL, TEST, SEED]:
            raise UsageError(f"{raw} was not made by the demo: it touches no data of yours; run it in a fresh clone")
        return
    scenes = home() / "scenes"
    shutil.rmtree(scenes, ignore_errors=True)
    print("demo: generating scenes")
    generate(scenes, train=TRAIN, val=VAL, test=TEST, seed=SEED)
    install(tree, scenes, ClassTable.find("idd-level1"), name="")  # params.yaml stays as it is
    shutil.rmtree(scenes)


def show(tree: Path, decision: str, version: int) -> None:
    """Print scores, version and where to look next; write a picture of predictions."""
    from roadseg.cli.models import score_table
    from roadseg.contracts.shards import Shards
    from roadseg.pages.pictures import prediction_sheet
    from roadseg.scoring.floor import mode_score

    scores = read_json(tree / paths.METRICS, "metrics", "dvc repro evaluate")
    shards = Shards.open(tree / paths.SHARDS)
    by_class = {name: scores[f"iou.{name}"] for name in shards.classes.names}
    (tree / paths.PREDICTIONS).parent.mkdir(exist_ok=True)
    prediction_sheet(tree, count=4).save(tree / paths.PREDICTIONS, quality=90)
    Console().print(score_table(by_class, scores["miou"], f"{scores['images']} validation scenes"))
    floor = mode_score(shards)
    print(f"mIoU {scores['miou']:.4f}; the most frequent class at each pixel scores {floor:.4f}")
    print(f"gate: {decision}")
    print(f"model: version {version} of roadseg; predictions: {paths.PREDICTIONS}")
    print(f"pages: {paths.DATA_PAGE}, {paths.MODEL_PAGE} and {paths.DECISION_PAGE} open in any browser")
    print("next: `make ui` shows the run in MLflow; `roadseg data import ARCHIVE` in a fresh clone takes your data")


if __name__ == "__main__":
    main()

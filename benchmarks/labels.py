"""Which measure finds label errors best: every measure on labels some of which are made wrong.

Val is measured with errors made in memory, several draws of them. Train is measured where the labels were made wrong
before the training, so that the model has seen them: `python -m benchmarks.labels damage FOLDER` does that to an
unpacked IDD Lite, before `roadseg data import FOLDER` and `dvc repro`; then, in that checkout,
`python -m benchmarks.labels`.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import rankdata

from benchmarks.label_errors import ERRORS, wrong_labels
from benchmarks.machine import machine
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.manifest import read_manifest
from roadseg.evaluate.stage import images
from roadseg.imaging.masks import read_classes
from roadseg.labelling.disputes import DOUBT, disputed_areas

SHARE, DRAWS, MAX_COMMITS = 0.15, 4, 20
MADE = "errors.json"  # in the folder of the labels: kind by path


def given(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Probability of the given class, float32 (N,), of each labelled pixel."""
    known = label < probabilities.shape[-1]
    return np.asarray(probabilities[known, label[known]])


def least(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The most that `given` can be when only the best class and its probability are known."""
    known = label < probabilities.shape[-1]
    best = probabilities.max(-1)
    return np.asarray(np.where(probabilities.argmax(-1) == label, best, 1 - best)[known])


def softmin(values: np.ndarray, temperature: float) -> float:
    """Lad and Mueller's score of an image, here the higher the worse."""
    weights = np.exp(-values.astype(np.float64) / temperature)
    return float(1 - (values * weights).sum() / weights.sum())


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "areas in doubt, as roadseg label check": lambda label, p: float((disputed_areas(label, p) > 0).mean()),
    "pixels in doubt": lambda label, p: float((given(label, p) < DOUBT).mean()),
    "softmin 0.1": lambda label, p: softmin(given(label, p), 0.1),
    "softmin 0.05": lambda label, p: softmin(given(label, p), 0.05),
    "cross-entropy": lambda label, p: float(-np.log(np.maximum(given(label, p), 1e-4)).mean()),
    "mistakes": lambda label, p: float((least(label, p) != p.max(-1)[label < p.shape[-1]]).mean()),
    "mistakes surer than 0.7": lambda label, p: float((least(label, p) < 0.3).mean()),
    "softmin 0.1 of the confidence": lambda label, p: softmin(least(label, p), 0.1),
}


def quality(scores: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Average precision, area under the ROC curve, and the share of wrong ones among the first looked at.

    Args:
        scores: float (N,), of images; the higher, the more is the label in doubt.
        wrong: bool (N,).
    """
    hits = wrong[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    above = rankdata(scores)[wrong].sum() - hits.sum() * (hits.sum() + 1) / 2
    area = above / (hits.sum() * (~hits).sum())
    return {"ap": float(precision[hits].mean()), "auroc": float(area), "first": float(hits[:MAX_COMMITS].mean())}


def compare(scores: dict[str, np.ndarray], kinds: np.ndarray) -> dict[str, dict[str, float]]:
    """Quality of each measure, AUROC of each kind of error against the intact ones too.

    Args:
        scores: by measure, (N,).
        kinds: str (N,), empty for an intact label.
    """
    wrong, table = kinds != "", {}
    for name, values in scores.items():
        table[name] = quality(values, wrong)
        for kind in ERRORS:
            some = (kinds == kind) | ~wrong
            table[name][kind] = quality(values[some], wrong[some])["auroc"]
    return table


def score(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Every measure of labels with their probabilities, (N,) each."""
    rows = [[each(*pair) for each in MEASURES.values()] for pair in pairs]
    return dict(zip(MEASURES, np.array(rows).T, strict=True))


def damage(folder: Path) -> None:
    """Make some labels of train wrong on the disk."""
    paths = sorted((folder / "gtFine/train").rglob("*_label.png"))
    paths = [path for path in paths if not path.stem.endswith("_inst_label")]
    labels = [np.asarray(Image.open(path)) for path in paths]
    made = wrong_labels(labels, 7, SHARE, seed=0)
    for number, (_, label) in made.items():
        Image.fromarray(label).save(paths[number])
    kinds = {paths[number].relative_to(folder).as_posix(): kind for number, (kind, _) in made.items()}
    (folder / MADE).write_text(json.dumps(kinds, indent=1))
    print(f"{len(kinds)} of {len(labels)} labels of train are wrong now")


def measure(split: str) -> list[dict[str, dict[str, float]]]:
    """Compare measures on a split of the current checkout; val in some draws."""
    from roadseg.predict.predictor import Predictor

    manifest = read_manifest(Path("data/manifest.parquet"))
    rows, classes = manifest.records(split), manifest.classes
    stream = Predictor(Bundle.open(Path("models/bundle")), batch=16, precision="auto").probabilities(images(rows))
    masks = (read_classes(Path("data/raw") / row["mask"], classes)[0] for row in rows)
    if split == "train":
        made = json.loads((Path("data/raw") / MADE).read_text())
        kinds = np.array([made.get(row["mask"], "") for row in rows])
        return [compare(score(zip(masks, stream, strict=True)), kinds)]
    labels, probabilities = list(masks), list(stream)
    tables = []
    for draw in range(DRAWS):
        wrong = wrong_labels(labels, classes.count, SHARE, seed=draw)
        drawn = [wrong[number][1] if number in wrong else label for number, label in enumerate(labels)]
        kinds = np.array([wrong[number][0] if number in wrong else "" for number in range(len(labels))])
        tables.append(compare(score(zip(drawn, probabilities, strict=True)), kinds))
    return tables


def mean(tables: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Of every figure over draws, rounded."""
    first = tables[0]
    return {
        name: {key: round(float(np.mean([table[name][key] for table in tables])), 3) for key in figures}
        for name, figures in first.items()
    }


def main() -> None:
    """Damage a folder, or measure the current checkout and print one JSON object."""
    if sys.argv[1:2] == ["damage"]:
        damage(Path(sys.argv[2]))
        return
    found: dict[str, Any] = {"val": mean(measure("val"))}
    if (Path("data/raw") / MADE).exists():
        found["train"] = mean(measure("train"))
    print(json.dumps({**found, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    main()

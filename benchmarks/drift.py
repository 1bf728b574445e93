"""How often drift is found in held-back drives of the same data, and in the same pictures made worse.

Run it in a checkout whose graph has run. Held back are the test drives, which no model is chosen by and no reference
holds, and val drives, which are then left out of the reference. Each draw takes ten drives.

Example: `python -m benchmarks.drift 100`, draws
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from benchmarks.machine import machine
from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.manifest import read_manifest
from roadseg.drift.figures import answer_figures, picture_figures
from roadseg.drift.finding import find_drift
from roadseg.drift.limits import DISTANCE, LEVEL, PERMUTATIONS
from roadseg.drift.reference import Reference
from roadseg.imaging.pixels import read_image
from roadseg.predict.predictor import Predictor

Rng = np.random.Generator
Row = dict[str, Any]
DRIVES = 10  # of a draw
AIR = 235  # grey level of fog


def darker(image: np.ndarray, strength: float, rng: Rng) -> np.ndarray:
    """Every pixel times 1 - strength."""
    return _levels(image * (1 - strength))


def foggier(image: np.ndarray, strength: float, rng: Rng) -> np.ndarray:
    """Light of `AIR` mixed in by that share, alike everywhere.

    Source: H. Koschmieder's model, 1924, with one distance.
    """
    return _levels(image * (1 - strength) + AIR * strength)


def blurrier(image: np.ndarray, strength: float, rng: Rng) -> np.ndarray:
    """A Gaussian of so many pixels."""
    return _levels(ndimage.gaussian_filter(image.astype(np.float32), (strength, strength, 0)))


def noisier(image: np.ndarray, strength: float, rng: Rng) -> np.ndarray:
    """Gaussian noise of so many grey levels, of each channel its own."""
    return _levels(image + rng.normal(0, strength, image.shape))


HARM: dict[str, tuple[Callable[[np.ndarray, float, Rng], np.ndarray], tuple[float, ...]]] = {
    "darker": (darker, (0.1, 0.2, 0.3, 0.5)),
    "foggier": (foggier, (0.1, 0.2, 0.3, 0.5)),
    "blurrier": (blurrier, (0.5, 0.7, 1.0, 1.5)),
    "noisier": (noisier, (3, 5, 10, 20)),
}


def _levels(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def figures(rows: Sequence[Row], predictor: Predictor, harm: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    """What `drift.measure` measures, of pictures that are made worse between reading and measuring."""
    images = [harm(read_image(paths.RAW / row["image"])) for row in rows]
    with ThreadPoolExecutor(2) as workers:
        pictures = list(workers.map(picture_figures, images))
    names = predictor.bundle.classes.names
    answers = [answer_figures(*answer, names) for answer in predictor.with_confidence(images)]
    return pd.DataFrame([{**row, **both[0], **both[1]} for row, *both in zip(rows, pictures, answers, strict=True)])


def draws(reference: pd.DataFrame, held: pd.DataFrame, *, weights: str, count: int, seed: int) -> list[bool]:
    """Whether drift was found in each draw of `DRIVES` held-back drives, which the reference then goes without."""
    rng, found = np.random.default_rng(seed), []
    names = sorted(held["drive"].unique())
    for number in range(count):
        chosen = rng.choice(names, DRIVES, replace=False)
        known = Reference(reference[~reference["drive"].isin(chosen)], weights, {})
        found.append(bool(find_drift(known, held[held["drive"].isin(chosen)], seed=number).drifted))
    return found


def measure(count: int) -> dict[str, Any]:
    """In how many draws drift was found: of both splits as they are, and of test by what was done to its pictures."""
    rows = [
        {"image": row["image"], "split": row["split"], "drive": f"{row['split']}/{row['drive']}"}
        for row in read_manifest(paths.MANIFEST).records()
    ]
    test = [row for row in rows if row["split"] == "test"]
    bundle = Bundle.open(paths.BUNDLE)
    predictor = Predictor(bundle, precision="auto")
    reference = figures([row for row in rows if row["split"] != "test"], predictor, lambda image: image)
    tried = {"count": count, "weights": bundle.card["weights"]}
    as_is = figures(test, predictor, lambda image: image)
    same = {"test": sum(draws(reference, as_is, **tried, seed=0))}
    same["val"] = sum(draws(reference, reference[reference["split"] == "val"], **tried, seed=0))
    found: dict[str, Any] = {"same": same}
    for name, (harm, strengths) in HARM.items():
        for strength in strengths:
            rng = np.random.default_rng(0)
            worse = figures(test, predictor, lambda image: harm(image, strength, rng))  # noqa: B023 - used at once
            found.setdefault(name, {})[str(strength)] = sum(draws(reference, worse, **tried, seed=1))
            print(found, file=sys.stderr, flush=True)
    drives = {split: len({row["drive"] for row in rows if row["split"] == split}) for split in ("train", "val", "test")}
    return {"drives": drives, "miou": json.loads(paths.METRICS.read_text())["miou"], "found": found}


def main() -> None:
    """Print one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    start = time.monotonic()
    about = {"date": time.strftime("%Y-%m-%d"), **machine(), "draws": count, "drives_of_a_draw": DRIVES}
    policy = {"level": LEVEL, "distance": DISTANCE, "permutations": PERMUTATIONS}
    print(json.dumps({**about, **policy, **measure(count), "seconds": round(time.monotonic() - start)}, indent=1))


if __name__ == "__main__":
    main()

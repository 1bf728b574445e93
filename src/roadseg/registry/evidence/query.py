"""Load a model and ask it as it will be served, in a process of its own, before the alias moves.

Whatever the file does, how much memory it takes or how long it thinks stays in that process.
"""

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

import numpy as np

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.evaluation import Evaluation, read_evaluation, scoring_code
from roadseg.contracts.manifest import read_manifest
from roadseg.gate.settings import compared_settings
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.sidecars import answer, ask

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

IMAGES, SERVED = 32, 8  # that are counted again, and that are asked one by one
BATCHES: tuple[int | Literal["auto"], ...] = ("auto", 1, 2, 4, 8, 16)  # an evaluation does not say in which it was made
MOVED = 0.005  # share of pixels that may be counted otherwise by another processor or precision
BY_OTHER_CODE = "; or that was by other code, which may round otherwise: evaluate and register it again"
PATIENCE, TRIES = 600.0, 2  # seconds of one try
SLOW = 10.0  # seconds that one image may take
LOG = "query.log"


@dataclass(frozen=True)
class Answered:
    """How a model did.

    Attributes:
        faults: what is wrong with it; none where it is fit to serve.
        images: that were counted again.
        moved: share of their pixels that were counted otherwise than in its evaluation.
        seconds: median for an image as it is served.
        beside: that of the other model, asked in turn; None where there was none.
    """

    faults: list[str]
    images: int = 0
    moved: float = 0.0
    seconds: float | None = None
    beside: float | None = None


def query(bundle: Path, evaluation: Path | None, other: Path | None = None) -> Answered | None:
    """Ask a model in a process of its own.

    Args:
        bundle: its folder, as it came from MLflow.
        evaluation: its stored counts, whose val images the tree in the current directory has; None: it is only asked
            whether it answers, on generated pixels.
        other: the bundle of a model to measure time against, asked in turn.

    Returns:
        None where no answer came in `TRIES` times `PATIENCE`; `query.log` in home says why.
    """
    for _ in range(TRIES):
        arguments = (str(path.absolute()) if path else "" for path in (bundle, evaluation, other))
        if found := ask("roadseg.registry.evidence.query", *arguments, log=LOG, patience=PATIENCE):
            return Answered(**found)
    return None


def samples_to_ask(evaluation: Evaluation, most: int = IMAGES) -> list[str]:
    """Samples to ask about: for each class that occurs the image with most of it, then others, evenly spread."""
    samples = np.array(evaluation.images["sample"].to_pylist(), object)
    by_class = evaluation.counts.confusion.sum(-1, dtype=np.int64)
    first = by_class.argmax(0)[by_class.any(0)]
    spread = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
    order = dict.fromkeys([*first.tolist(), *spread.tolist()])
    return sorted(samples[list(order)[:most]].tolist())


def share_moved(stored: np.ndarray, again: np.ndarray) -> float:
    """Share of the pixels that stand in another cell, of two counts (N, K, K + 1) of the same images."""
    changed = np.abs(stored.astype(np.int64) - again.astype(np.int64)).sum()
    return float(changed / 2 / max(1, int(stored.sum(dtype=np.int64))))


def load_and_ask(bundle: Path, evaluation: Path | None, other: Path | None) -> Answered:
    """What `query` asks for, in this process."""
    from roadseg.predict.predictor import Predictor  # late: Keras loads in seconds

    model = Bundle.open(bundle)
    try:
        served = Predictor(model, precision="auto")
    except RoadsegError as error:
        return Answered([str(error)])
    faults: list[str] = []
    images: list[np.ndarray] = []
    moved = 0.0
    if evaluation:
        known = read_evaluation(evaluation)
        images, moved, alike = counted_again(model, known)
        bound = 0.0 if alike else MOVED
        if moved > bound:
            faults.append(
                f"{moved:.4%} of the pixels of {len(images)} val images are counted otherwise than in its evaluation "
                f"(at most {bound:.1%} may be): the model in MLflow does not answer as the evaluated one"
                f"{'' if known.scoring == scoring_code() else BY_OTHER_CODE}"
            )
    pictures = images[:SERVED] or [np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)]
    predictors = [served, *([Predictor(Bundle.open(other), precision="auto")] if other else [])]
    times = in_turn(predictors, pictures, model.classes.count, faults)
    if max(times[0]) > SLOW:
        faults.append(f"an image took {max(times[0]):.1f} s (at most {SLOW:.0f} s)")
    medians = [median(each) for each in times]
    return Answered(faults, len(images), moved, medians[0], medians[1] if other else None)


def counted_again(bundle: Bundle, known: Evaluation) -> tuple[list[np.ndarray], float, bool]:
    """Predict the chosen val images as the evaluation did, in batches of the size that fits best: it decides rounding.

    Returns:
        The images, the share of their pixels that moved, and whether sums are rounded here as they were, so that none
        may; GPUs promise that of no sum.
    """
    from roadseg.evaluate.stage import counted, images
    from roadseg.predict.predictor import Predictor

    wanted = samples_to_ask(known)
    rows = [row for row in read_manifest(paths.MANIFEST).records("val") if row["sample"] in set(wanted)]
    place = {sample: number for number, sample in enumerate(known.images["sample"].to_pylist())}
    stored = known.counts.confusion[[place[row["sample"]] for row in rows]]
    moved = 1.0
    for batch in BATCHES:
        predictor = Predictor(bundle, batch=batch, **compared_settings(known))
        here = predictor.rounding
        alike = known.rounding == here and not here["instruction_set"].startswith("cuda")
        moved = min(moved, share_moved(stored, counted(rows, predictor).confusion))
        if moved <= (0.0 if alike else MOVED):
            break
    return list(images(rows)), moved, alike


def in_turn(
    predictors: "list[Predictor]", pictures: Iterable[np.ndarray], classes: int, faults: list[str]
) -> list[list[float]]:
    """Seconds of each predictor for each picture, one after the other; the first must answer with ids of the table."""
    times: list[list[float]] = [[] for _ in predictors]
    for number, picture in enumerate(pictures):
        for predictor, taken in zip(predictors, times, strict=True):
            if number == 0:
                next(predictor([picture]))  # the first is slow: code is made for its size
            start = time.perf_counter()
            mask = next(predictor([picture]))
            taken.append(time.perf_counter() - start)
            if predictor is predictors[0] and (mask.shape != picture.shape[:2] or mask.max() >= classes):
                faults.append(f"it answers {mask.shape} with ids up to {mask.max()} for an image {picture.shape}")
    return times


def main() -> None:
    """Answer with `Answered`; see `query`."""
    follow_parent()
    evaluation, other = (Path(given) if given else None for given in sys.argv[2:4])
    answer(asdict(load_and_ask(Path(sys.argv[1]), evaluation, other)))


if __name__ == "__main__":
    main()

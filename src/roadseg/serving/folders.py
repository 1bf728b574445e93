"""Predict pictures into masks and overlays: decoding and writing go on beside the model."""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, PngImagePlugin

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.files import code_digests, digest_of, replacing
from roadseg.imaging.pixels import Undecodable, decode_image, naming, read_bytes
from roadseg.machine.workers import map_ahead
from roadseg.pages.draw import overlay
from roadseg.predict.predictor import Predictor
from roadseg.serving.sources import WRITTEN, Pictures
from roadseg.serving.submission import submission_names

SHOWN = 5
THREADS = 2  # that decode, and as many that write
AHEAD = 4  # pictures that are decoded, and that wait to be written
KEY = "roadseg"  # text in a mask's PNG: the digest of what it was made from
CODE = ("contracts", "imaging", "predict")  # packages whose code decides a mask


@dataclass(frozen=True)
class Written:
    """A mask.

    Attributes:
        path: uint8 class ids, at the picture's own size.
        kept: it stood there, made from the same picture, weights and settings.
    """

    path: Path
    kept: bool


@dataclass(frozen=True)
class _Job:
    """What is written of one picture, the mask last: where that stands, all does."""

    source: Path
    mask: Path
    overlay: Path
    submission: Path | None
    key: str = ""  # of the picture's bytes and all else that decides the mask
    image: np.ndarray | None = None  # uint8 (H, W, 3), RGB; None: nothing is left to do, or
    fault: str = ""  # why not

    def stands(self, key: str) -> bool:
        """Whether everything is there, and was made from the same."""
        there = self.overlay.exists() and (self.submission is None or self.submission.exists())
        try:
            with Image.open(self.mask, formats=["PNG"]) as picture:
                return there and picture.info.get(KEY) == key
        except (OSError, SyntaxError, ValueError):  # absent, or no PNG
            return False


def predict_files(
    predictor: Predictor, pictures: Pictures, out: Path, *, again: bool = False, submission: bool = False
) -> Iterator[Written]:
    """Write `out/masks/<relative path>.png` and `out/overlays/<relative path>.jpg` for each picture.

    A mask that stands there from the same picture, weights, settings and code is not made again.

    Args:
        predictor: makes the masks.
        pictures: what to predict.
        out: made if absent.
        again: make every mask.
        submission: write `out/submission` too, see `submission_names`.

    Yields:
        Each mask, in the order of the pictures but for those that are kept, which come early.

    Raises:
        UsageError: see `submission_names`; before anything is written.
        DataRefused: files are no pictures or cannot be read; names them, when all others are done.
    """
    jobs = _jobs(pictures, out, predictor, submission)
    made_with = _made_with(predictor)
    seen: deque[_Job] = deque()  # what the predictor has taken and not answered, at most a batch
    kept: deque[_Job] = deque()
    faults: list[str] = []

    def taken(prepared: Iterator[_Job]) -> Iterator[np.ndarray]:
        for job in prepared:
            if job.image is not None:
                seen.append(job)
                yield job.image
            elif job.fault:
                faults.append(job.fault)
            else:
                kept.append(job)

    with ThreadPoolExecutor(THREADS) as readers, ThreadPoolExecutor(THREADS) as writers:
        prepared = map_ahead(readers, lambda job: _prepare(job, made_with, again), jobs, AHEAD)
        answers = ((seen.popleft(), mask) for mask in predictor(taken(prepared)))
        for job in map_ahead(writers, lambda answer: _write(*answer, predictor), answers, AHEAD):
            while kept:
                yield Written(kept.popleft().mask, kept=True)
            yield Written(job.mask, kept=False)
        yield from (Written(job.mask, kept=True) for job in kept)
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        done = len(jobs) - len(faults)
        others = f"; the other {done} have masks in {out / WRITTEN[0]}" if done else ""
        raise DataRefused(f"{'; '.join(faults[:SHOWN])}{more}{others}")


def _jobs(pictures: Pictures, out: Path, predictor: Predictor, submission: bool) -> list[_Job]:
    classes = predictor.bundle.classes
    names: dict[Path, PurePosixPath] = submission_names(pictures.paths, classes) if submission else {}
    masks, overlays, handed_in = (out / kind for kind in WRITTEN)
    jobs = []
    for path in pictures.paths:
        name = path.relative_to(pictures.root)
        third = handed_in / names[path] if submission else None
        jobs.append(_Job(path, masks / name.with_suffix(".png"), overlays / name.with_suffix(".jpg"), third))
    return jobs


def _made_with(predictor: Predictor) -> str:
    """Digest of all that decides a mask and its overlay but the picture."""
    bundle = predictor.bundle
    return digest_of([bundle.card["weights"], bundle.classes.content, predictor.settings, code_digests(*CODE)])


def _prepare(job: _Job, made_with: str, again: bool) -> _Job:
    """The job with its image, without where nothing is left to do, or with what is wrong with it."""
    places = (job.source, job.mask, job.overlay, job.submission)
    try:
        with naming(job.source):
            content = read_bytes(job.source)
            key = digest_of([hashlib.sha256(content).hexdigest(), made_with])
            if not again and job.stands(key):
                return job
            return _Job(*places, key, decode_image(content))
    except Undecodable as error:
        return _Job(*places, fault=str(error))
    except OSError as error:  # the others may lie where the disk is whole, or be ours to read
        return _Job(*places, fault=f"{job.source}: cannot be read: {error.strerror}")


def _write(job: _Job, mask: np.ndarray, predictor: Predictor) -> _Job:
    """Write what was asked for; returns the job without its pixels."""
    assert job.image is not None
    painted = overlay(job.image, mask, predictor.bundle.classes)
    with replacing(job.overlay) as temporary:
        Image.fromarray(painted).save(temporary, "JPEG", quality=92)
    if job.submission:
        with replacing(job.submission) as temporary:
            Image.fromarray(mask).save(temporary, "PNG")
    made_from = PngImagePlugin.PngInfo()
    made_from.add_text(KEY, job.key)
    with replacing(job.mask) as temporary:
        Image.fromarray(mask).save(temporary, "PNG", pnginfo=made_from)
    return _Job(job.source, job.mask, job.overlay, job.submission)

"""Which val images a model has seen in training: their drives must not decide about it."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from roadseg.gate.decision import LeftOut

ROWS = 64  # of val that are held against all training samples at once


def find_leaks(val: pa.Table, training: Mapping[str, pa.Table], near: int) -> tuple[LeftOut, ...]:
    """Drives of the val split of which a model or an ancestor of it has seen something in training.

    Args:
        val: the split's rows with columns sample, drive, image_sha, phash (uint64) and, if known, dataset.
        training: by what the model is called (`version 3`, `the parent of version 3`), the samples of its training
            with the same columns, as a bundle's samples.parquet holds them.
        near: bits by which two perceptual hashes may differ and still mean one image, as `validate.near_duplicate`.

    Returns:
        one for each such drive, by name, with how many of its images were found, where and how. A sample without a
        drive is one of its own, `image <sample>`. A drive of the same name counts unless both datasets are known and
        differ.
    """
    samples = np.array(val["sample"].to_pylist(), object)
    drives = np.array(
        [drive or f"image {sample}" for drive, sample in zip(val["drive"].to_pylist(), samples, strict=True)], object
    )
    said: dict[str, list[str]] = {}
    for name, seen in training.items():
        for how, found in _kinds(val, seen, near):
            for drive in np.unique(drives[found]):
                within = found & (drives == drive)
                first = samples[within].min()
                said.setdefault(str(drive), []).append(f"{within.sum()} images {how} of {name}, such as {first}")
    return tuple(
        LeftOut(drive, int((drives == drive).sum()), "; ".join(reasons)) for drive, reasons in sorted(said.items())
    )


def _kinds(val: pa.Table, seen: pa.Table, near: int) -> Iterator[tuple[str, np.ndarray]]:
    """In words how val images stand in a training, and which of them, bool (N,); each image in one kind alone."""
    same = _in(val, seen, "image_sha")
    yield "are in the training data", same
    alike = _near(val, seen, near) & ~same
    yield "are near-duplicates of training data", alike
    yield "are of a drive in the training data", _same_drive(val, seen) & ~same & ~alike


def _in(val: pa.Table, seen: pa.Table, column: str) -> np.ndarray:
    known = pd.Series(seen[column].to_pylist(), dtype=object).dropna()
    return pd.Series(val[column].to_pylist(), dtype=object).isin(known).to_numpy()


def _near(val: pa.Table, seen: pa.Table, near: int) -> np.ndarray:
    ours, theirs = val["phash"], np.unique(seen["phash"].drop_null().to_numpy())
    hashes, known = ours.fill_null(0).to_numpy().astype(np.uint64), ours.is_valid().to_numpy()
    found = [
        (np.bitwise_count(hashes[first : first + ROWS, None] ^ theirs) <= near).any(axis=1)
        for first in range(0, len(hashes), ROWS)
    ]
    return np.asarray(np.concatenate([np.zeros(0, bool), *found]) & known)


def _same_drive(val: pa.Table, seen: pa.Table) -> np.ndarray:
    """Of a drive by that name, unless both datasets are known and differ."""
    known = set(zip(seen["drive"].to_pylist(), _datasets(seen), strict=True))
    named = {drive for drive, _ in known}
    unknown = {drive for drive, dataset in known if dataset is None}
    rows = zip(val["drive"].to_pylist(), _datasets(val), strict=True)
    return np.array(
        [
            drive is not None
            and (drive in unknown or (drive, dataset) in known or (dataset is None and drive in named))
            for drive, dataset in rows
        ],
        bool,
    )


def _datasets(rows: pa.Table) -> list[str | None]:
    return rows["dataset"].to_pylist() if "dataset" in rows.column_names else [None] * rows.num_rows

"""Which val images a model has seen in training: their drives must not decide about it."""

from collections.abc import Mapping

import pyarrow as pa

from roadseg.registry.decision import LeftOut


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
    raise NotImplementedError

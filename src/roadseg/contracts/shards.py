"""data/shards/: decoded drives as plain NumPy files, an index and what they hold."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file, digest_of, read_json, replacing, write_json
from roadseg.contracts.framing import Framing

MAX_NAME = 180  # letters of a name; 255 are what disks take, less endings
REMEDY = "dvc repro preprocess"
BOX = pa.list_(pa.int32(), 4)
INDEX = pa.schema(
    {
        "sample": pa.string(),
        "split": pa.string(),
        "dataset": pa.string(),
        "drive": pa.string(),
        "row": pa.int32(),
        "source": BOX,  # y0, x0, y1, x1 in the image's own pixels
        "content": BOX,  # where it lies in the tile, the rest is padding
        "image_sha": pa.string(),
        "mask_sha": pa.string(),
        "phash": pa.uint64(),
    }
)


def shard_name(drive: str | None, image_sha: str) -> str:
    """File name of a drive's shard, without ending; without a drive 256 shards by the image's digest.

    A name too long for a disk is cut, and told apart by its digest.
    """
    if drive is None:
        return f"_{image_sha[:2]}"
    name = quote(drive, safe="")
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}-{digest_of(drive)[:16]}"


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one `.npy` atomically."""
    with replacing(path) as temporary, temporary.open("wb") as opened:
        np.save(opened, array)


class ArrayWriter:
    """Writes one `.npy` of uint8 part by part and digests it on the way: memory holds one part, not the drive.

    As a context it closes the file; `digest` is of the whole file then.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self, header)

    def write(self, content: bytes | memoryview) -> None:
        """Add raw bytes."""
        self._digest.update(content)
        self._file.write(content)

    def append(self, part: np.ndarray) -> None:
        """Add rows: uint8 (n, ...), as in the shape."""
        self.write(np.ascontiguousarray(part).data)

    @property
    def digest(self) -> str:
        """Sha256 of what was written, hex."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


@dataclass(frozen=True)
class Shards:
    """A shards folder.

    Attributes:
        folder: where it is.
        framing: how frames became tiles, their size among it.
        classes: the class table of the masks.
        class_pixels: pixels by class, void last, for each split.
        files: sha256 of every shard file by path below the folder.
        index: one row per tile, columns `INDEX`.
    """

    folder: Path
    framing: Framing
    classes: ClassTable
    class_pixels: dict[str, list[int]]
    files: dict[str, str]
    index: pd.DataFrame

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Open a folder that `write_index` closed.

        Raises:
            UsageError: a part is absent, damaged or of another schema.
        """
        content = read_json(folder / "shards.json", "shards", REMEDY)
        try:
            index = pq.read_table(folder / "index.parquet").to_pandas()
        except (OSError, pa.ArrowInvalid) as error:
            raise UsageError(f"{folder / 'index.parquet'} cannot be read ({error}): run `{REMEDY}`") from None
        classes = ClassTable.model_validate(content["classes"])
        return cls(folder, Framing.read(content), classes, content["class_pixels"], content["files"], index)

    @property
    def height(self) -> int:
        """Height of every tile, pixels."""
        return self.framing.height

    @property
    def width(self) -> int:
        """Width of every tile, pixels."""
        return self.framing.width

    @property
    def digest(self) -> str:
        """Sha256 of shards.json, which holds the digest of every shard file."""
        return digest_file(self.folder / "shards.json")

    def drives(self, split: str) -> list[str]:
        """Shard names of the labelled drives of a split, sorted; by what was written, not by what is there now."""
        found = [Path(name) for name in self.files if name.endswith(".mask.npy")]
        return sorted(path.name.removesuffix(".mask.npy") for path in found if path.parent.name == split)

    def check(self, split: str) -> None:
        """Read every file of a split and compare it with its digest; a gigabyte takes about a second.

        Raises:
            UsageError: a file is absent or not the one that was written; names it.
        """
        for name, digest in sorted(self.files.items()):
            path = self.folder / name
            if path.parent.name != split:
                continue
            if not path.is_file():
                raise UsageError(f"{path} is missing: run `{REMEDY}`")
            if digest_file(path) != digest:
                raise UsageError(f"{path} is not the file that preprocess wrote: delete it and run `{REMEDY}`")

    @cached_property
    def tiles(self) -> dict[tuple[str, str], int]:
        """Number of tiles by split and shard name, as the index has them."""
        return dict(Counter(zip(self.index["split"], self.shard_names, strict=True)))

    @cached_property
    def shard_names(self) -> list[str]:
        """Shard name of each row of the index."""
        drives = zip(self.index["drive"], self.index["image_sha"], strict=True)
        return [shard_name(drive if isinstance(drive, str) else None, sha) for drive, sha in drives]  # pandas: NaN

    def pair(self, split: str, shard: str) -> tuple[np.ndarray, np.ndarray]:
        """Memory-map one drive: images uint8 (n, H, W, 3) and masks uint8 (n, H, W).

        Raises:
            UsageError: a file does not fit its index; names it.
        """
        stem = self.folder / split / shard
        arrays = []
        for kind, shape in (("image", (self.height, self.width, 3)), ("mask", (self.height, self.width))):
            path = stem.with_name(f"{shard}.{kind}.npy")
            try:
                array = np.load(path, mmap_mode="r")
            except (OSError, ValueError, EOFError) as error:
                raise UsageError(f"{path} cannot be read ({error}): run `{REMEDY}`") from None
            if array.shape[1:] != shape or array.dtype != np.uint8:
                raise UsageError(f"{path} is {array.dtype} {array.shape}, not uint8 (n, {shape}): run `{REMEDY}`")
            arrays.append(array)
        images, masks, tiles = len(arrays[0]), len(arrays[1]), self.tiles.get((split, shard), 0)
        if not images == masks == tiles:
            raise UsageError(f"{stem}: {images} images and {masks} masks, {tiles} in index.parquet: run `{REMEDY}`")
        return arrays[0], arrays[1]


def write_index(
    folder: Path,
    framing: Framing,
    classes: ClassTable,
    class_pixels: dict[str, list[int]],
    rows: pa.Table,
    files: dict[str, str] | None = None,
) -> None:
    """Close a shards folder: the index and shards.json, which digests every shard file.

    Args:
        folder: holds the `.npy` files already.
        framing: how frames became tiles.
        classes: the class table of the masks.
        class_pixels: pixels by class, void last, for each split.
        rows: one row per tile, columns `INDEX`.
        files: sha256 by path below the folder; without it every file is read.
    """
    with replacing(folder / "index.parquet") as temporary:
        pq.write_table(rows.cast(INDEX).sort_by([("sample", "ascending"), ("row", "ascending")]), temporary)
    if files is None:
        files = {path.relative_to(folder).as_posix(): digest_file(path) for path in shard_files(folder)}
    content = {"classes": classes.content, "class_pixels": class_pixels, "files": files}
    write_json(folder / "shards.json", "shards", framing.content | content)


def shard_files(folder: Path) -> Iterator[Path]:
    """The `.npy` files of a shards folder, sorted."""
    yield from sorted(folder.glob("*/*.npy"))

"""Stage preprocess: decode each drive once, to the size that training works at."""

import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
import PIL
import pyarrow as pa
from pydantic import Field
from rich.progress import track

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import code_digests, digest_of, failpoint, home
from roadseg.contracts.framing import Framing
from roadseg.contracts.manifest import SPLITS, read_manifest
from roadseg.contracts.params import Section
from roadseg.contracts.shards import write_index
from roadseg.machine.workers import map_ahead, pool
from roadseg.preprocess.drives import NEEDED, Drives
from roadseg.preprocess.encode import Encoded, Row, encode
from roadseg.preprocess.store import Store, write_entry

READS = (paths.RAW, paths.MANIFEST)
WRITES = (paths.SHARDS,)
KEPT_AT_ONCE = 32  # drives; a killed run decodes at most so many again
AHEAD = 16  # tasks that are given out before the first is back
FAILPOINTS = ("shards:written", "shards:removed", "shards:renamed")
BATCH = 4  # drives in a task: a task costs as much as a picture
FEW = 32  # samples that are decoded sooner than worker processes and a progress bar start


class PreprocessParams(Section):
    """What preprocess may be told."""

    height: int = Field(gt=0, multiple_of=16, description="height of a tile, pixels")
    width: int = Field(gt=0, multiple_of=16, description="width of a tile, pixels")
    aspect: Literal["stretch", "pad"] = Field(description="stretch frames to the tile, or keep their aspect and pad")
    tile: int = Field(ge=0, le=16, description="0: a frame is one tile; N: it is scaled to N x N tiles and cut")


Drive = tuple[str, list[Row]]  # its key, its samples


@dataclass(frozen=True)
class Task:
    """What a worker needs to know to encode any drive; its paths are absolute, it may run elsewhere."""

    raw: Path
    temporary: Path
    classes: ClassTable
    framing: Framing

    def __call__(self, drives: list[Drive]) -> list[tuple[str, Path]]:
        """Encode drives, each given with its key, each into a temporary folder of its own."""
        return [self._encode(*drive) for drive in drives]

    def _encode(self, key: str, samples: list[Row]) -> tuple[str, Path]:
        folder = self.temporary / uuid4().hex  # a task whose worker died is done again by another
        folder.mkdir()
        write_entry(folder, encode(self.raw, samples, folder, self.classes, self.framing))
        return key, folder


def run(*, preprocess: PreprocessParams) -> None:
    """Write the shards of every drive in the manifest; decode those that home does not hold yet."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps several times what it holds
    framing, store = Framing(**preprocess.model_dump()), Store(home() / "reuse/shards")
    drives, classes = _read(store.folder)
    recipe = digest_of([classes.identity, framing.content, PIL.__version__, _code()])
    keys = [digest_of([recipe, content]) for content in drives.contents()]
    known = {key: found for key in keys if (found := store.find(key))}
    missing = {key: number for number, key in enumerate(keys) if key not in known}
    if missing:
        with store.begin() as temporary:
            task = Task(paths.RAW.absolute(), temporary, classes, framing)
            samples: Iterable[Drive] = ((key, drives.samples(number)) for key, number in missing.items())
            few = sum(drives.count(number) for number in missing.values()) <= FEW
            _encode(task, store, samples if few else track(samples, "preprocess", len(missing)), few)
    with _replacing_folder(paths.SHARDS) as folder:
        entries = ((name, key, known.get(key) or store.get(key)) for name, key in zip(drives.names, keys, strict=True))
        files, pixels = _place(store, folder, entries, classes.count)
        index = drives.index(framing)
        write_index(folder, framing, classes, pixels, index, files)
    store.sweep(set(keys))
    size = f"{framing.width}x{framing.height}"
    print(f"preprocess: {len(index)} tiles of {size} in {len(drives)} shards, {len(missing)} of them decoded now")


def _read(folder: Path) -> tuple[Drives, ClassTable]:
    """The drives of the manifest, whose rows wait in a folder while workers are there, and its class table."""
    manifest = read_manifest(paths.MANIFEST, columns=NEEDED)
    folder.mkdir(parents=True, exist_ok=True)
    return Drives.of(manifest.rows, folder), manifest.classes


def _code() -> dict[str, str]:
    return code_digests("contracts", "imaging", "preprocess")


def _encoded(task: Task, drives: Iterable[Drive], few: bool) -> Iterator[tuple[str, Path]]:
    waiting = iter(drives)
    batches = iter(lambda: list(islice(waiting, BATCH)), [])
    if few:
        yield from chain.from_iterable(map(task, batches))
        return
    with pool() as workers:
        yield from chain.from_iterable(map_ahead(workers, task, batches, AHEAD))


def _encode(task: Task, store: Store, drives: Iterable[Drive], few: bool) -> None:
    """Encode drives and keep them, so many at once that the disk is waited for seldom, and beside the workers."""
    finished: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(1) as keeper:
        kept: list[Future[None]] = []
        for key, folder in _encoded(task, drives, few):
            finished.append((folder, key))
            if len(finished) == KEPT_AT_ONCE:
                kept.append(keeper.submit(store.keep, finished))
                finished = []
        kept.append(keeper.submit(store.keep, finished))
        for batch in kept:
            batch.result()


def _place(
    store: Store, folder: Path, entries: Iterable[tuple[str, str, Encoded]], classes: int
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """Put every drive from the store into a shards folder.

    Args:
        store: holds them.
        folder: the new one.
        entries: `<split>/<shard>`, key and content of each drive.
        classes: how many there are.

    Returns:
        sha256 of every shard file by path below the folder, and pixels by class, void last, for each split.
    """
    files: dict[str, str] = {}
    pixels: dict[str, np.ndarray] = {}
    for name, key, encoded in entries:
        split = name.split("/")[0]
        if split not in pixels:
            (folder / split).mkdir()
            pixels[split] = np.zeros(classes + 1, np.int64)
        pixels[split] += np.array(encoded.pixels)
        store.place(key, {kind: folder / f"{name}.{kind}.npy" for kind in encoded.digests})
        files |= {f"{name}.{kind}.npy": digest for kind, digest in encoded.digests.items()}
    nothing = np.zeros(classes + 1, np.int64)
    return files, {split: pixels.get(split, nothing).tolist() for split in SPLITS}


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder beside `folder`; on success it takes its place, so that no part is ever seen."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    yield temporary
    failpoint("shards:written")
    shutil.rmtree(folder, ignore_errors=True)
    failpoint("shards:removed")
    temporary.rename(folder)
    failpoint("shards:renamed")

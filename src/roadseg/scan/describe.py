"""Every sample's row: what home remembers is taken from there, the rest is read in parallel."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from posixpath import splitext
from typing import Any

import PIL
from rich.progress import track

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import code_digests, digest_file, digest_of, home
from roadseg.imaging.codings import coding_of_sample
from roadseg.machine.workers import pool
from roadseg.scan.layouts.found import Found
from roadseg.scan.remember import Facts, File, Memory, opened
from roadseg.scan.statistics import image_facts, mask_facts

SAVE_EACH = 500  # files; a killed scan reads at most so many again


def describe(root: Path, found: list[Found], classes: ClassTable, layout: str = "") -> list[dict[str, Any]]:
    """Describe samples.

    Args:
        root: the data's folder.
        found: the samples.
        classes: the table by which masks are read.
        layout: by which the samples were found; it decides how label pictures are coded.

    Returns:
        One row of the scan for each, see docs/formats.md; what cannot be known is absent, and a file that
        cannot be read gives its row an `error`.
    """
    root = root.absolute()  # workers may run in another folder
    digest = classes.digest
    codings = {sample.mask: coding_of_sample(sample.mask, layout, classes) for sample in found if sample.mask}
    files = {
        name: File.at(root / name, *(_mask_kind(name, digest, codings[name]) if mask else ("image",)))
        for name, mask in _names(found)
    }
    with opened(home() / "reuse/facts.sqlite", _recipe()) as memory:
        facts = {name: known for name, file in files.items() if (known := memory.known(file))}
        unknown = [name for name in files if name not in facts]
        if unknown:
            read = _read([files[name] for name in unknown], classes, memory)
            facts |= {path.relative_to(root).as_posix(): each for path, each in read}
    print(f"scan: {len(files) - len(unknown)} of {len(files)} files are known from before")
    return [_row(sample, facts) | {"coding": codings[sample.mask] if sample.mask else None} for sample in found]


def _recipe() -> str:
    """What facts depend on beside the bytes: this code, and what decodes pictures for it."""
    return digest_of([PIL.__version__, code_digests("contracts", "imaging", "scan")])


def _names(found: list[Found]) -> Iterator[tuple[str, bool]]:
    for sample in found:
        if sample.image:
            yield sample.image, False
        if sample.mask:
            yield sample.mask, True


def _mask_kind(name: str, table: str, coding: str | None) -> tuple[str, str | None]:
    """What beside a mask's bytes decides what is found in it, such as the digest of the class table; and its coding."""
    return f"mask {table} {coding or ''}{splitext(name)[1].lower()}", coding


def _read(files: list[File], classes: ClassTable, memory: Memory) -> Iterator[tuple[Path, Facts]]:
    """Facts of files that changed: those of equal bytes elsewhere serve, the rest is decoded."""
    with pool() as workers:
        digests = workers.map(_digest, [file.path for file in files], chunksize=64)
        seen = list(zip(files, track(digests, "digest", len(files)), strict=True))
        fresh = []
        for file, digest in seen:
            if facts := memory.of(file, digest):
                memory.keep(file, digest, facts)
                yield file.path, facts
            else:
                fresh.append(file)
        found = workers.map(partial(_facts, classes), fresh, chunksize=16)
        for number, (file, facts) in enumerate(zip(fresh, track(found, "scan", len(fresh)), strict=True), 1):
            if digested := facts.get("image_sha") or facts.get("mask_sha"):
                memory.keep(file, digested, facts)
            if number % SAVE_EACH == 0:
                memory.save()
            yield file.path, facts


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return ""  # whoever decodes it says what is wrong


def _facts(classes: ClassTable, file: File) -> Facts:
    return image_facts(file.path) if file.kind == "image" else mask_facts(file.path, classes, file.coding)


def _row(sample: Found, facts: dict[str, Facts]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "sample": sample.sample,
        "image": sample.image,
        "mask": sample.mask,
        "drive": sample.drive,
        "split": sample.split,
    }
    described = {name: facts[name] for name in (sample.image, sample.mask) if name}
    errors = [f"{name}: {each['error']}" for name, each in described.items() if "error" in each]
    for each in described.values():
        row |= each
    return row | {"error": "; ".join(errors) or None}

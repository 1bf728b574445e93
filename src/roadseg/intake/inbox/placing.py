"""Where the files of a delivery belong in data/raw, whatever folders somebody has wrapped them in."""

from pathlib import Path

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file, digest_of
from roadseg.intake.archive import unpack
from roadseg.intake.records import name_of
from roadseg.scan.layouts.known import LAYOUTS, look
from roadseg.scan.layouts.words import said


def stage(source: Path, folder: Path) -> Path:
    """Unpack or copy a delivery into `folder`, under its own name, which may be that of a drive.

    Raises:
        UsageError, DataRefused: see `archive.unpack`.
    """
    unpack(source, folder / name_of(source))
    return folder


def digest_of_content(staged: Path) -> str:
    """Digest of the paths and bytes of all files that `stage` has made, whatever they were wrapped in."""
    folder = staged
    while (
        len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir() and not (folder != staged and _means(inner[0]))
    ):
        folder = inner[0]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_of([[path.relative_to(folder).as_posix(), digest_file(path)] for path in files])


def belongs(source: str, staged: Path, raw: Path, layout: str, found_by: dict[str, str]) -> Path:
    """The folder below `staged` whose files lie as they shall lie in data/raw.

    Args:
        source: what the delivery is called, for errors.
        staged: what `stage` has made.
        raw: the data that it goes to.
        layout: the name of their layout.
        found_by: how files are found, see `known.look`.

    Raises:
        DataRefused: no folder fits, or the delivery has another layout.
    """
    root = _beside(_chain(staged), raw) or _laid_out(source, _chain(staged), layout, found_by)
    try:
        own = look(root, **found_by)[0]
    except (DataRefused, UsageError):  # masks alone are a part of a layout
        return root
    if own != layout:
        raise DataRefused(f"{source} has layout {own} and data/raw {layout} ({LAYOUTS[layout].looks_like})")
    return root


def _means(folder: Path) -> bool:
    told = said(folder.name)
    return bool(told.split or told.role)


def _chain(staged: Path) -> list[Path]:
    """The folder and the only folders in it, outermost first."""
    chain = [staged]
    while len(inner := list(chain[-1].iterdir())) == 1 and inner[0].is_dir():
        chain.append(inner[0])
    return chain


def _beside(chain: list[Path], raw: Path) -> Path | None:
    """The folder that shares most names with `raw`; else the one whose folders are built as those of `raw` are."""
    for depth in ("*/", "*/*/"):
        there = {path.name for path in raw.glob(depth)}
        shared = {root: len(there & {path.name for path in root.glob(depth)}) for root in chain}
        best = max(reversed(chain), key=lambda root: shared[root])  # of equal ones the innermost
        if shared[best]:
            return best
    return None


def _laid_out(source: str, chain: list[Path], layout: str, found_by: dict[str, str]) -> Path:
    for root in reversed(chain):
        try:
            look(root, **found_by)
        except DataRefused:
            continue
        return root
    raise DataRefused(f"{source} is not laid out as data/raw is ({layout}: {LAYOUTS[layout].looks_like})")

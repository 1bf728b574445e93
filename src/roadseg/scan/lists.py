"""Lists of a split: train.txt, val.lst, test.csv and the like, beside the data or in a folder such as ImageSets."""

import csv
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from roadseg.contracts.errors import DataRefused
from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.found import Found
from roadseg.scan.layouts.names import bare
from roadseg.scan.layouts.words import said
from roadseg.scan.not_data import files_in

ENDINGS = {".txt", ".lst", ".list", ".csv", ".tsv"}
TABLES = {".csv", ".tsv"}
COLUMNS = {"split", "subset", "partition", "set"}
MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
MOST_OF_ONE = 3  # more files called as one split are labels of images, such as train_0001.txt
OTHER_TASKS = {"main", "layout", "action"}  # of VOC: lists by kind of object


def lists_in(root: Path) -> dict[str, Path]:
    """The lists of one folder by split (train, val, test, trainval), of the outermost one that has a list for train.

    Raises:
        DataRefused: two folders, or two lists in one, could be meant; names them.
    """
    folders = _by_folder(root)
    if not folders:
        return {}
    fits = {folder: lists for folder, lists in folders.items() if lists.keys() & {"train", "trainval"}} or folders
    rank = {folder: (folder.name != "Segmentation" and folder != PurePosixPath(), len(folder.parts)) for folder in fits}
    first = [folder for folder in fits if rank[folder] == min(rank.values())]
    if len(first) > 1:
        raise DataRefused(f"{_named(root, first)}: each holds lists of splits; keep those of one")
    return {split: _one(root, paths) for split, paths in fits[first[0]].items()}


def table_of_splits(root: Path) -> Path | None:
    """A table with a column for the split, as metadata.csv often has one, or a file that is called splits.json."""
    for name in files_in(root):
        path = PurePosixPath(name)
        words = set(path.stem.lower().replace("-", "_").split("_"))
        if path.suffix.lower() in {".json", ".yaml", ".yml"} and words & {"split", "splits"}:
            return root / name
        if path.suffix.lower() in TABLES and COLUMNS & {each.strip().lower() for each in _heading(root / name)}:
            return root / name
    return None


@dataclass
class Index:
    """What lists may call samples: their paths, the ends of them, their ids; and drives, which are many."""

    samples: dict[tuple[str, ...], set[int]] = field(default_factory=dict)
    drives: dict[tuple[str, ...], set[int]] = field(default_factory=dict)
    drive_of: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: list[Found]) -> "Index":
        """Index samples by their place in the list of them."""
        index = cls()
        for number, one in enumerate(found):
            drive = bare(f"{one.drive}/x")[:-1] if one.drive else ()
            names = {bare(path) for path in (one.image, one.mask) if path}
            tails = {name[start:] for name in names for start in range(len(name))}
            for name in tails | {bare(one.id), (*drive, *bare(one.id))}:
                index.samples.setdefault(name, set()).add(number)
            index.drive_of[number] = drive
            if drive:
                index.drives.setdefault(drive, set()).add(number)
        return index

    def named(self, line: str) -> set[int]:
        """Samples that a line may mean: read whole, then cut at commas or tabs, then at spaces; the first that fits."""
        for cut in ([line], line.replace("\t", ",").replace(";", ",").split(","), line.split()):
            pieces = [piece.strip().strip("\"'") for piece in cut]
            paths = [piece for piece in pieces if _is_path(piece)] or pieces
            fits = [fit for piece in paths if piece and (fit := self._fit(piece))]
            if one := [fit for fit in fits if len(fit) == 1]:
                return set.union(*one)
            if fits:
                return fits[0]
        return self.drives.get(bare(f"{line}/x")[:-1], set())

    def _fit(self, path: str) -> set[int]:
        """By the longest end of a path that a sample has; what is before it must not be another drive."""
        parts = bare(path)
        for at in range(len(parts)):
            if fits := self.samples.get(parts[at:]):
                return {one for one in fits if not at or set(self.drive_of[one]) <= set(parts)}
        return set()

    def is_drive(self, line: str) -> bool:
        """Whether a line names a whole drive."""
        return bare(f"{line}/x")[:-1] in self.drives and not self.samples.get(bare(line))


def listed(path: Path, index: Index) -> dict[int, str]:
    """Samples of a list, each with its line.

    Raises:
        DataRefused: no text, or a line names no sample or several.
    """
    found: dict[int, str] = {}
    for number, line in enumerate(lines(path)):
        fits = index.named(line)
        if not fits and (line.startswith(("#", "//", "%")) or (number == 0 and path.suffix.lower() in TABLES)):
            continue  # a comment or a heading
        if len(fits) != 1 and not index.is_drive(line):
            raise DataRefused(f"{path}: {line!r} names {len(fits) or 'no'} samples; give the path of one")
        found |= dict.fromkeys(fits, line)
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text that are not empty, without byte order mark.

    Raises:
        DataRefused: it is no text in UTF-8 or, with a mark, UTF-16.
    """
    content = path.read_bytes()
    coding = next((coding for mark, coding in MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(coding)
    except UnicodeDecodeError as error:
        raise DataRefused(f"{path} is no text in UTF-8 or UTF-16 ({error})") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _heading(path: Path) -> list[str]:
    with path.open("rb") as opened:
        first = opened.readline(10_000).decode("utf-8-sig", "replace")
    return next(csv.reader([first.replace("\t", ",").replace(";", ",")]), [])


def _is_path(piece: str) -> bool:
    return "/" in piece or "\\" in piece or PurePosixPath(piece).suffix.lower() in SUFFIXES


def _by_folder(root: Path) -> dict[PurePosixPath, dict[str, list[PurePosixPath]]]:
    """Lists by folder and split; `train.txt` goes before `train_fine.txt`."""
    plain: dict[PurePosixPath, dict[str, list[PurePosixPath]]] = {}
    other: dict[PurePosixPath, dict[str, list[PurePosixPath]]] = {}
    for path in map(PurePosixPath, files_in(root)):
        told = said(path.stem) if path.suffix.lower() in ENDINGS else None
        if told and told.split and path.parent.name.lower() not in OTHER_TASKS:
            kind = other if told.rest else plain
            kind.setdefault(path.parent, {}).setdefault(told.split, []).append(path)
    few = {
        folder: {split: paths for split, paths in lists.items() if len(paths) <= MOST_OF_ONE}
        for folder, lists in other.items()
    }
    both = {folder: few.get(folder, {}) | plain.get(folder, {}) for folder in {*few, *plain}}
    return {folder: lists for folder, lists in both.items() if lists}


def _one(root: Path, paths: list[PurePosixPath]) -> Path:
    """Of several lists for a split the one that is called as the split alone, else the text."""
    for better in (lambda path: said(path.stem).role is None, lambda path: path.suffix.lower() == ".txt"):
        paths = [path for path in paths if better(path)] or paths
    if len(paths) > 1:
        raise DataRefused(f"{_named(root, paths)}: lists of one split; keep one of them")
    return root / paths[0]


def _named(root: Path, paths: list[PurePosixPath]) -> str:
    return " and ".join(str(root / path) for path in sorted(paths))

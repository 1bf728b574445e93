"""What DVC's cache says of data/raw, read without DVC: asking it takes seconds, and needs the data in place."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from roadseg.contracts import paths
from roadseg.scan.layouts.folders import Placed

Listing = dict[str, str]  # md5 by path below data/raw


@dataclass(frozen=True)
class Drives:
    """Drives that one version of the data has and another has not, or has with other files; sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def raw_md5(text: str) -> str:
    """The md5 by which the text of a raw.dvc names the data; empty where it names none."""
    try:
        return str(yaml.safe_load(text)["outs"][0]["md5"])
    except (yaml.YAMLError, TypeError, KeyError, IndexError):  # a commit may hold anything
        return ""


def listing(cache: Path, md5: str) -> Listing | None:
    """The files of a version of the data; None where the cache does not know it.

    Args:
        cache: DVC's cache.
        md5: of the version, see `raw_md5`.
    """
    try:
        entries = json.loads(_object(cache, md5).read_text(encoding="utf-8"))
        return {entry["relpath"]: entry["md5"] for entry in entries}
    except (OSError, ValueError):
        return None


def missing_objects(cache: Path, md5: str) -> int:
    """How many files of a version of the data the cache lacks; its list alone counts as one."""
    files = listing(cache, md5)
    return 1 if files is None else sum(not _object(cache, each).exists() for each in set(files.values()))


def compare_drives(before: Listing, now: Listing) -> Drives:
    """Compare two versions of the data by drive."""
    old, new = _by_drive(before), _by_drive(now)
    return Drives(
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(drive for drive in new.keys() & old.keys() if new[drive] != old[drive])),
        removed=tuple(sorted(old.keys() - new.keys())),
    )


def _by_drive(files: Listing) -> dict[str, set[tuple[str, str]]]:
    folders = {path.rpartition("/")[0]: path for path in files}  # few, and one file of each
    placed = {folder: Placed.of(path) for folder, path in folders.items()}
    around = len({one.wraps for one in placed.values()}) == 1  # around the whole set: no drive
    names = {folder: _drive(one, around) for folder, one in placed.items()}
    drives: dict[str, set[tuple[str, str]]] = {}
    for path, md5 in files.items():
        drives.setdefault(names[path.rpartition("/")[0]], set()).add((path, md5))
    return drives


def _drive(placed: Placed, around: bool) -> str:
    """Split and drive as the folders of a path name them, `train/12`; its folder where they name neither."""
    named = [placed.split or "", *(() if around else placed.wraps), *placed.drives]
    return "/".join(filter(None, named)) or PurePosixPath(paths.RAW, placed.path).parent.as_posix()


def _object(cache: Path, md5: str) -> Path:
    return cache / "files/md5" / md5[:2] / md5[2:]

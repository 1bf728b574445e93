"""The present data and deliveries beside one another, as links: what data/raw would be, without touching it."""

import os
from pathlib import Path

from roadseg.contracts import paths
from roadseg.intake.merge import Compared, differences


class View:
    """A folder of links.

    Attributes:
        root: stands for data/raw.
        origin: what delivery a new file comes from, by its path below `root`.
        faults: what is wrong with a file of a delivery beside the others, by delivery and path.
        equal: how many files of a delivery are there already.
    """

    def __init__(self, root: Path, raw: Path) -> None:
        """Link every file of `raw`."""
        self.root = root
        self.origin: dict[str, str] = {}
        self.faults: dict[str, dict[str, str]] = {}
        self.equal: dict[str, int] = {}
        self._staged: dict[str, Path] = {}
        for folder, _, names in os.walk(raw):
            inner = root / Path(folder).relative_to(raw)
            inner.mkdir(parents=True)
            for name in names:
                (inner / name).symlink_to(Path(folder).absolute() / name)

    def add(self, name: str, staged: Path) -> None:
        """Link the files of a delivery that are new; equal ones and those with a fault are noted."""
        found = differences(Path(name), staged, self.root)
        self._staged[name], self.equal[name] = staged, len(found.equal)
        self.faults[name] = {
            path: said.replace(str(self.root), paths.RAW.as_posix()) for path, said in _of_files(found, staged)
        }
        for path in found.new:
            if not any(str(above) in found.faults for above in Path(path).parents):
                self.origin[path] = name
        self.show([path for path, origin in self.origin.items() if origin == name])

    def show(self, paths: list[str]) -> None:
        """Link new files, which `hide` may have taken away."""
        for path in paths:
            link = self.root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(self.file(path).absolute())

    def hide(self, paths: list[str]) -> None:
        """Take new files out of the view; folders that are empty then are no fault."""
        for path in paths:
            (self.root / path).unlink(missing_ok=True)

    def file(self, path: str) -> Path:
        """Where a new file lies."""
        return self._staged[self.origin[path]] / path

    def paths(self, name: str) -> list[str]:
        """The new files of a delivery."""
        return [path for path, origin in self.origin.items() if origin == name]


def _of_files(found: Compared, staged: Path) -> list[tuple[str, str]]:
    """Faults of files; that of a folder is the fault of every file in it."""
    listed = []
    for path, said in found.faults.items():
        inner = (
            [path]
            if (staged / path).is_file()
            else [each.relative_to(staged).as_posix() for each in _in(staged / path)]
        )
        listed += [(each, said) for each in inner]
    return listed


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

"""What a layout finds: names of files, nothing of their content."""

from dataclasses import dataclass
from itertools import zip_longest

from roadseg.scan.layouts.names import folded, key, shown

Key = tuple[str | None, str | None, str]  # split, drive, id


@dataclass(frozen=True)
class Found:
    """One sample; paths are POSIX and relative to the data's folder; a split of None is still to be made."""

    split: str | None
    drive: str | None
    id: str
    image: str | None
    mask: str | None

    @property
    def sample(self) -> str:
        """Unique name `<split>/<drive>/<id>`."""
        return "/".join(part for part in (self.split, self.drive, self.id) if part)


class Files:
    """Files of one kind by what they are compared by, with the names that the first of each is shown with."""

    def __init__(self) -> None:
        self.paths: dict[Key, list[str]] = {}
        self.names: dict[Key, Key] = {}

    def add(self, path: str, split: str | None, drive: str | None, name: str, *, whole: bool = False) -> None:
        """Note a file; `whole`: its name has no ending or start that tells images from masks."""
        compared = (split, folded(drive) if drive else None, folded(name) if whole else key(name))
        self.paths.setdefault(compared, []).append(path)
        self.names.setdefault(compared, (split, drive, name if whole else shown(name)))


def paired(images: Files, masks: Files) -> list[Found]:
    """Samples by key, sorted; also what has no partner, and a second file of one name: 1.jpg beside 1.png."""
    names = masks.names | images.names
    pairs = [
        Found(*names[each], *pair)
        for each in names
        for pair in zip_longest(images.paths.get(each, []), masks.paths.get(each, []))
    ]
    return sorted(pairs, key=lambda one: [one.split or "", one.drive or "", one.id])

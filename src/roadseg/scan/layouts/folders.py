"""Any data set whose folders or names tell images from masks, with splits and drives or without.

`images/<split>/<drive>/<id>.jpg`, `<split>/images/<id>.jpg`, `<split>` beside `<split>annot`, and `<id>.png` beside
`<id>_mask.png` are all read: see `words` for what folders may be called and `names` for what names may have.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from roadseg.contracts.errors import DataRefused
from roadseg.scan.layouts.found import Files, Found, paired
from roadseg.scan.layouts.names import folded, is_instances, is_mask, is_painted, key
from roadseg.scan.layouts.words import Role, said
from roadseg.scan.not_data import picture_names


@dataclass(frozen=True)
class Placed:
    """A picture and what the folders above it say.

    Attributes:
        path: POSIX, relative to the data's folder.
        split, role: of the innermost folder that names one.
        painted: whether a folder or its own name says that it is a mask of colours.
        wraps: folders above all that say anything, outermost first.
        drives: other folders, outermost first.
    """

    path: str
    split: str | None
    role: Role | None
    painted: bool
    wraps: tuple[str, ...]
    drives: tuple[str, ...]

    @classmethod
    def of(cls, path: str, around: int = 0) -> "Placed":
        """Read the folders of a path, less the first `around`."""
        pure = PurePosixPath(path)
        split, role, painted = None, None, is_painted(pure.stem)
        wraps: list[str] = []
        drives: list[str] = []
        for folder in pure.parent.parts[around:]:
            told = said(folder)
            if role == "mask" and told.role == "image" and told.painted:
                told = replace(told, role=None, rest="")  # labels/rgb: masks in colours
                painted = True
            split, role = told.split or split, told.role or role
            painted = painted or (role == "mask" and told.painted)
            if told.rest:
                (drives if split or role else wraps).append(told.rest)
        return cls(path, None if split == "trainval" else split, role, painted, tuple(wraps), tuple(drives))

    @property
    def stem(self) -> str:
        """The file's name without suffix."""
        return PurePosixPath(self.path).stem

    @property
    def place(self) -> tuple[str | None, ...]:
        """Split and drive, to compare by."""
        return (self.split, *map(folded, self.wraps + self.drives))


def matches(root: Path) -> bool:
    """Whether an image has a mask of its name."""
    images, masks = _by_key(root)
    return bool(images.paths.keys() & masks.paths.keys())


def find(root: Path) -> list[Found]:
    """Every sample; split or drive are None where no folder names them.

    Raises:
        DataRefused: two folders whose names say nothing hold pairs too; names them.
    """
    found = paired(*_by_key(root))
    _refuse_unread(root, found)
    return found


def _by_key(root: Path) -> tuple[Files, Files]:
    paths = picture_names(root)
    around = _around(paths)
    placed = [Placed.of(path, around) for path in paths]
    placed = [one for one in placed if one.role != "other" and not is_instances(one.stem)]
    ways = (_by_folder(placed), _without_constants(*_by_folder(placed)), _by_name(placed))
    read = [(_files(images), _files(_best(masks))) for images, masks in (_unwrapped(*way) for way in ways)]
    return next((found for found in read if found[0].paths.keys() & found[1].paths.keys()), read[0])


def _refuse_unread(root: Path, found: list[Found]) -> None:
    """A part of the set must not be left out because its folders have names of their own: `imagesTr`, `labelsTr`."""
    read = {path for one in found for path in (one.image, one.mask) if path}
    names = {key(PurePosixPath(path).stem) for path in read}
    folder_of: dict[str, set[str]] = {}
    for path in map(PurePosixPath, picture_names(root)):
        if path.as_posix() not in read and Placed.of(path.as_posix()).role is None and key(path.stem) not in names:
            folder_of.setdefault(key(path.stem), set()).add(path.parent.as_posix())
    pairs = [sorted(folders) for folders in folder_of.values() if len(folders) > 1]
    if read and len(pairs) > 1:
        first, second, *_ = pairs[0]
        raise DataRefused(
            f"{root / first} and {root / second}: hold {len(pairs)} pictures of equal names and are called neither as "
            "images nor as masks are, while others are; rename them, or give two patterns"
        )


def _around(paths: list[str]) -> int:
    """How many folders lie around all pictures and are names of the set: `my_test_data/` is no split."""
    depth, first = 0, PurePosixPath(paths[0]).parent.parts if len(paths) > 2 else ()  # a pair alone cannot tell
    for name in first:
        told, above = said(name), "/".join(first[: depth + 1]) + "/"
        if told.rest != name or not all(path.startswith(above) for path in paths):
            break
        depth += 1
    return depth


def _by_folder(placed: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Images and masks as folders name them; where none names images, those in folders that masks are beside."""
    images, masks = ([one for one in placed if one.role == role] for role in ("image", "mask"))
    if masks and not images:
        places = {one.place for one in masks}
        images = [one for one in placed if one.role is None and one.place in places]
    return images, masks


def _by_name(placed: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Images and masks in one folder, told apart by their own names."""
    masks = [one for one in placed if is_mask(one.stem)]
    places = {one.place for one in masks}
    return [one for one in placed if not is_mask(one.stem) and (one.split or one.place in places)], masks


def _without_constants(images: list[Placed], masks: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Drives less what all images, or all masks, have alike and the others have not: `images/10k/`, `image_2/`."""

    def bare(some: list[Placed]) -> list[Placed]:
        times = Counter(name for one in some for name in set(one.drives))
        return [replace(one, drives=tuple(name for name in one.drives if times[name] < len(some))) for one in some]

    return bare(images), bare(masks)


def _unwrapped(images: list[Placed], masks: list[Placed]) -> tuple[list[Placed], list[Placed]]:
    """Folders around the whole set are no drives; a pair alone cannot tell."""
    together, depth = [*images, *masks], 0
    while len(together) > 2 and len({one.wraps[: depth + 1] for one in together}) == 1 and together[0].wraps[depth:]:
        depth += 1
    cut = [replace(one, wraps=one.wraps[depth:]) for one in together]
    return cut[: len(images)], cut[len(images) :]


def _best(masks: list[Placed]) -> list[Placed]:
    """Masks of ids before those of the same in colours."""
    plain = {(one.place, key(one.stem)) for one in masks if not one.painted}
    return [one for one in masks if not one.painted or (one.place, key(one.stem)) not in plain]


def _files(placed: Iterable[Placed]) -> Files:
    files = Files()
    for one in placed:
        files.add(one.path, one.split, "/".join(one.wraps + one.drives) or None, one.stem)
    return files

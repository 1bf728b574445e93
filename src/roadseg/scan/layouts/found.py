"""What a layout finds: names of files, nothing of their content."""

import re
from dataclasses import dataclass
from itertools import zip_longest

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What data sets append to one name to tell an image from its mask. The instances are no masks of classes.
ENDING = re.compile(r"_(image|img|rgb|sat|leftImg8bit|masks?|labels?|seg|gt|L|gtFine_[A-Za-z0-9]+)$")
INSTANCES = re.compile(r"_inst(_label|ance_?Ids)$", re.IGNORECASE)

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


def paired(images: dict[Key, list[str]], masks: dict[Key, list[str]]) -> list[Found]:
    """Samples by key, sorted; also what has no partner, and a second file of one name: 1.jpg beside 1.png."""
    keys = sorted(images.keys() | masks.keys(), key=lambda key: [part or "" for part in key])
    return [Found(*key, *pair) for key in keys for pair in zip_longest(images.get(key, []), masks.get(key, []))]

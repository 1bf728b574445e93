"""Files by two patterns of params.yaml, for data sets that no layout knows: `rgb/{split}/{drive}/{id}.jpg`."""

import re
from pathlib import Path

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts.found import SPLIT_NAMES, Found, Key, paired

FIELD = re.compile(r"\{(\w*)\}|(\*)")
FIELDS = ("split", "drive", "id")


def find(root: Path, images: str, masks: str) -> list[Found]:
    """Pair the files that fit two patterns by the split, drive and id in their paths.

    Args:
        root: the data's folder.
        images, masks: paths below it; `{id}`, `{drive}` and `{split}` stand for a part of a name, `*` for what
            does not matter.

    Raises:
        UsageError: a pattern is faulty.
        DataRefused: nothing fits one of them, or a folder that stands for the split is none.
    """
    return paired(*(_by_key(root, name, pattern) for name, pattern in (("images", images), ("masks", masks))))


def _by_key(root: Path, name: str, pattern: str) -> dict[Key, list[str]]:
    fits = _compiled(name, pattern)
    files: dict[Key, list[str]] = {}
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root).as_posix()
        if (found := fits.fullmatch(inner)) and path.is_file():
            parts = found.groupdict()
            files.setdefault((_split(root, inner, parts), parts.get("drive"), parts["id"]), []).append(inner)
    if not files:
        raise DataRefused(
            f"{root}: no file fits scan.{name}: {pattern!r} in params.yaml; correct it, or empty both to look again"
        )
    return files


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    expression, place, seen = "", 0, set[str]()
    for field in FIELD.finditer(pattern):
        expression += re.escape(pattern[place : field.start()])
        place, known = field.end(), field[1]
        if field[2]:
            expression += "[^/]*"
        elif known in seen:
            expression += f"(?P={known})"  # drives are often in the folder and in the file's name
        elif known in FIELDS:
            expression += f"(?P<{known}>[^/]+)"
            seen.add(known)
        else:
            raise UsageError(f"params.yaml: scan.{name}: {{{known}}} in {pattern!r} is none of {', '.join(FIELDS)}")
    if "id" not in seen:
        raise UsageError(f"params.yaml: scan.{name}: {pattern!r} has no {{id}}: what pairs an image with its mask?")
    return re.compile(expression + re.escape(pattern[place:]))


def _split(root: Path, inner: str, parts: dict[str, str]) -> str | None:
    if (named := parts.get("split")) is None:
        return None
    if named.lower() not in SPLIT_NAMES:
        raise DataRefused(
            f"{root / inner}: {named!r} stands where the pattern has {{split}}; splits are train, val, test"
        )
    return SPLIT_NAMES[named.lower()]

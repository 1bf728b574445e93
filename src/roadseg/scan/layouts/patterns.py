"""Files by two patterns of params.yaml, for data sets that no layout knows: `rgb/{split}/{drive}/{id}.jpg`."""

import re
import unicodedata
from pathlib import Path

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts.found import Files, Found, paired
from roadseg.scan.layouts.words import said
from roadseg.scan.not_data import files_in

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
    patterns = {"images": images, "masks": masks}
    paths = {name: _fitting(root, _compiled(name, pattern)) for name, pattern in patterns.items()}
    if both := paths["images"].keys() & paths["masks"].keys():
        if _literal(images) == _literal(masks):
            raise DataRefused(f"{root / min(both)}: fits scan.images and scan.masks alike; let the patterns say more")
        loser = min(patterns, key=lambda name: _literal(patterns[name]))  # `{id}.png` beside `{id}_mask.png`
        paths[loser] = {path: parts for path, parts in paths[loser].items() if path not in both}
    for name, pattern in patterns.items():
        if not paths[name]:
            raise DataRefused(
                f"{root}: no file fits scan.{name}: {pattern!r} in params.yaml; correct it, or empty both to look again"
            )
    return paired(*(_files(root, paths[name]) for name in patterns))


def _fitting(root: Path, fits: re.Pattern[str]) -> dict[str, dict[str, str]]:
    found = {path: fits.fullmatch(unicodedata.normalize("NFC", path)) for path in files_in(root)}
    fitting = {path: parts.groupdict() for path, parts in found.items() if parts}
    return {path: parts for path, parts in fitting.items() if not said(parts.get("split", "")).role}  # train_labels/


def _files(root: Path, paths: dict[str, dict[str, str]]) -> Files:
    files = Files()
    for path, parts in paths.items():
        files.add(path, _split(root, path, parts), parts.get("drive"), parts["id"], whole=True)
    return files


def _literal(pattern: str) -> int:
    """How many letters of a pattern stand for themselves."""
    return len(FIELD.sub("", pattern))


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    pattern = unicodedata.normalize("NFC", pattern)
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
    split = said(named).split
    if split is None or split == "trainval":
        raise DataRefused(
            f"{root / inner}: {named!r} stands where the pattern has {{split}}; splits are train, val, test"
        )
    return split

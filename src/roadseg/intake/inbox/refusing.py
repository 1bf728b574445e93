"""What is refused, where a person finds it: `refused/<delivery>/` with the reasons in plain words and the files."""

import csv
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from roadseg.contracts.files import failpoint, sync_disk, sync_folder

SHOWN = 20  # reasons of one drive in reasons.txt; reasons.csv has all
TEXT, TABLE = "reasons.txt", "reasons.csv"


def put_out(target: Path, delivery: Path, reasons: Mapping[str, list[str]], files: Mapping[str, Path]) -> Path:
    """Write the reasons, and copy the files that are refused.

    Args:
        target: the folder `refused`.
        delivery: what they came in.
        reasons: by drive, or by the delivery's name.
        files: what to copy, by path below data/raw.

    Returns:
        The folder; the same reasons again change nothing, others get a folder beside it.
    """
    table = _table(reasons)
    place, number = target / delivery.name, 1
    while place.exists():
        if (place / TABLE).is_file() and (place / TABLE).read_text(encoding="utf-8") == table:
            return place
        number += 1
        place = target / f"{delivery.name}-{number}"
    failpoint("inbox:refuse")
    made = target / f".{place.name}.tmp"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for name, path in files.items():
        copy = made / "files" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    (made / TABLE).write_text(table, encoding="utf-8")
    (made / TEXT).write_text(_text(delivery, reasons, bool(files)), encoding="utf-8")
    sync_disk(made)
    failpoint("inbox:refusing")
    made.rename(place)
    sync_folder(target)
    failpoint("inbox:refused")
    return place


def put_away(target: Path, delivery: Path) -> Path:
    """Move a delivery to a folder, under a name that is free there."""
    target.mkdir(parents=True, exist_ok=True)
    place, number = target / delivery.name, 1
    while os.path.lexists(place):
        number += 1
        place = target / f"{number}-{delivery.name}"
    failpoint("inbox:move")
    shutil.move(delivery, place)
    failpoint("inbox:moved")
    return place


def _table(reasons: Mapping[str, list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["drive", "reason"])
    writer.writerows([drive, reason] for drive, listed in sorted(reasons.items()) for reason in listed)
    return text.getvalue()


def _text(delivery: Path, reasons: Mapping[str, list[str]], copied: bool) -> str:
    lines = [f"roadseg did not take all of {delivery}.", ""]
    for drive, listed in sorted(reasons.items()):
        lines += [f"{drive} is refused:", *(f"  - {reason}" for reason in listed[:SHOWN])]
        if len(listed) > SHOWN:
            lines.append(f"  - and {len(listed) - SHOWN} more, all of which are in {TABLE}")
        lines.append("")
    if copied:
        lines.append("The refused files are copied to files/ here, at the paths that they would have in data/raw.")
    lines.append("What to do: repair the files and deliver them again, under this name or another. Nothing of the data")
    lines.append("that were there before has changed, and nothing of the delivery was deleted.")
    return "\n".join(lines) + "\n"

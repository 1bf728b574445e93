"""What only all masks of a set together tell: whether 255 is a class, and whether indices mean the same everywhere."""

from collections import Counter
from typing import Any

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.ignored import doubtful, settled
from roadseg.imaging.palettes import Palette

Row = dict[str, Any]


def table_of(rows: list[Row], classes: ClassTable) -> ClassTable:
    """The table by which these masks are to be read, see `settled`."""
    return settled(classes, (row["values"] for row in rows if row.get("values")))


def note_contradictions(rows: list[Row], classes: ClassTable) -> None:
    """Give masks that contradict others an `error` that names one of the others.

    Args:
        rows: of the scan, with `values` and `palette` of their masks.
        classes: the table by which they were read.
    """
    _mark_foregrounds(rows, classes)
    _mark_palettes(rows)
    _mark_codings(rows, classes)


def _mark_foregrounds(rows: list[Row], classes: ClassTable) -> None:
    """No mask holds 1 beside 255 here, or 255 were void by now."""
    if (entry := doubtful(classes)) is None:
        return
    ones, fulls = (
        [row for row in rows if {*row.get("values", ())} & kind] for kind in ({*entry.values} - {VOID}, {VOID})
    )
    fewer, more = sorted((ones, fulls), key=len)
    for row in fewer if fewer else ():
        _add(
            row,
            f"stores {entry.name} as {VOID if fewer is fulls else entry.values[0]}, or ignores pixels, where "
            f"{more[0]['mask']} has {entry.values[0] if fewer is fulls else VOID}: write all masks alike, or import "
            f"with a class table of your own whose `values` say what {VOID} is",
        )


def _mark_palettes(rows: list[Row]) -> None:
    """Those that agree with the most common palette are taken to be right."""
    held = [(row, row["palette"]) for row in rows if row.get("palette")]
    common = Counter(palette for _, palette in held).most_common()
    known = [(Palette.of_text(text), text) for text, _ in common]
    first = {text: row["mask"] for row, text in reversed(held)}
    wrong: dict[str, str] = {}
    for number, (palette, text) in enumerate(known):
        for other, named in known[:number]:
            if named not in wrong and (found := palette.disagrees(other)):
                (red, green, blue), here, there = found
                wrong[text] = (
                    f"has #{red:02x}{green:02x}{blue:02x} at {here} in its palette and {first[named]} at {there}, "
                    "so one id means two things: write all masks with one palette, or give the classes these colours "
                    "in a table with `source: color`"
                )
                break
    for row, text in held:
        if text in wrong:
            _add(row, wrong[text])


def _mark_codings(rows: list[Row], classes: ClassTable) -> None:
    """Nothing but 0 and 1 under the name of IDD's ids: road and parking, which all of no real set is."""
    coded = [row for row in rows if row.get("coding") == "id" and "coded" in row]
    if not coded or not {value for row in coded for value in row["coded"]} <= {0, 1, VOID}:
        return
    for row in coded:
        _add(
            row,
            f"is named as IDD names its ids, but all {len(coded)} masks of the set hold 0 and 1 alone: if these are "
            f"ids of {classes.name}, import with patterns (--images, --masks), or without `_labelIds` in the names",
        )


def _add(row: Row, reason: str) -> None:
    row["error"] = "; ".join(filter(None, [row["error"], f"{row['mask']}: {reason}"]))

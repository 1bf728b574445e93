"""The pictures of a folder and the drives that they are of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from roadseg.contracts.errors import UsageError
from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.not_data import files_in, picture_names

UNIFORM = "uniform"  # policy of kept frames that were kept by chance alone
PAUSE = 600.0  # seconds without a kept frame, after which another drive begins
LONGEST = 3600.0  # seconds of one drive where there is no pause


@dataclass(frozen=True)
class Frame:
    """A picture: its name below the folder, its file, the drive it is of, and what else is known of it.

    Attributes:
        time: when a server kept it, seconds since 1970.
        sha: digest that its bytes must have; None takes what is there.
    """

    name: str
    path: Path
    drive: str
    time: float | None = None
    sha: str | None = None


def frames_in(folder: Path, most: int | None = None, *, by_chance: bool = True) -> list[Frame]:
    """The pictures of a folder, sorted by name, or by time where a server has kept them.

    Pictures of one folder are one drive. Where a server has kept frames, each with a `<digest>.json`, only those are
    taken that it kept by chance, since all others are kept for being unusual; a drive of them ends at a pause of ten
    minutes, or after an hour.

    Args:
        folder: to look into, with the folders below it.
        most: take no more, spread evenly over the names; None takes all.
        by_chance: of kept frames only those that were kept by chance; else all.

    Raises:
        UsageError: there is none, or none that was kept by chance; or a sidecar is damaged.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; name one with new pictures")
    if sidecars := list(_sidecars(folder)):
        chosen = [one for one in sidecars if not by_chance or UNIFORM in _policies(one[1])]
        frames, wanted = _in_time(folder, chosen), f"frames that were kept by the policy {UNIFORM}"
    else:
        frames = [Frame(name, folder / name, _drive(name)) for name in picture_names(folder)]
        wanted = f"pictures ({', '.join(sorted(SUFFIXES))})"
    if not frames:
        raise UsageError(f"{folder} holds no {wanted}")
    if most is None or len(frames) <= most:
        return frames
    return [frames[number * len(frames) // most] for number in range(most)]


def _drive(name: str) -> str:
    return PurePosixPath(name).parent.as_posix()


def _sidecars(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Picture and content of every `<name>.json` that says by which policy the picture of that name was kept."""
    for name in files_in(folder):
        path = folder / name
        if path.suffix != ".json" or (picture := _picture(path)) is None:
            continue
        try:
            said = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:  # the server's ring has put another in its place
            continue
        except ValueError as error:
            raise UsageError(f"{path} is not valid JSON ({error}): delete it with its picture") from None
        if isinstance(said, dict) and "policy" in said:
            yield picture, said


def _picture(sidecar: Path) -> Path | None:
    plain = sidecar.with_suffix("")
    return next((path for path in (plain, *map(plain.with_suffix, sorted(SUFFIXES))) if path.is_file()), None)


def _policies(said: dict[str, Any]) -> list[str]:
    return [said["policy"]] if isinstance(said["policy"], str) else list(said["policy"])


def _in_time(folder: Path, sidecars: list[tuple[Path, dict[str, Any]]]) -> list[Frame]:
    timed = [(_seconds(said.get("time"), picture), picture) for picture, said in sidecars]
    frames, began, before = [], float("-inf"), float("-inf")
    for time, picture in sorted(timed):
        if time - before > PAUSE or time - began > LONGEST:
            began = time
        before = time
        drive = datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")
        frames.append(Frame(picture.relative_to(folder).as_posix(), picture, drive, time))
    return frames


def _seconds(time: Any, picture: Path) -> float:
    """Since 1970, of a number of seconds or of ISO 8601."""
    try:
        return float(time) if isinstance(time, int | float) else datetime.fromisoformat(str(time)).timestamp()
    except ValueError:
        raise UsageError(
            f"{picture}: its .json gives the time {time!r}, neither seconds nor ISO 8601: delete both"
        ) from None

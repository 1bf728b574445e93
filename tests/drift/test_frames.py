import json
from pathlib import Path
from typing import Any

import pytest
from trees import touch

from roadseg.contracts.errors import UsageError
from roadseg.drift import frames
from roadseg.drift.frames import frames_in


def keep(folder: Path, name: str, ending: str = ".jpg", **said: Any) -> None:
    touch(folder, f"{name}{ending}")
    (folder / f"{name}.json").write_text(json.dumps({"policy": "uniform", "time": 0} | said))


def test_the_pictures_of_a_folder_are_a_drive(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2.PNG", "b/c/1.jpg", "3.jpg", "a/notes.txt", ".hidden/4.jpg")
    found = {frame.name: frame.drive for frame in frames_in(tmp_path)}
    assert found == {"a/1.jpg": "a", "a/2.PNG": "a", "b/c/1.jpg": "b/c", "3.jpg": "."}
    assert all(frame.path == tmp_path / frame.name for frame in frames_in(tmp_path))


def test_of_kept_frames_only_those_kept_by_chance_are_taken(tmp_path: Path) -> None:
    keep(tmp_path, "a" * 64)
    keep(tmp_path, "b" * 64, policy="uncertain")
    keep(tmp_path / "deep", "c" * 64, ending="", policy=["rare", "uniform"])
    keep(tmp_path, "d" * 64, policy=["rare", "disagreement"])
    touch(tmp_path, "nobody-says-why.jpg")
    assert sorted(Path(frame.name).name[0] for frame in frames_in(tmp_path)) == ["a", "c"]


def test_a_frame_that_the_ring_replaces_meanwhile_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path, "a" * 64)
    keep(tmp_path, "b" * 64)
    names = frames.files_in(tmp_path)
    (tmp_path / f"{'b' * 64}.json").unlink()
    monkeypatch.setattr(frames, "files_in", lambda _: names)
    assert [frame.path.stem[0] for frame in frames_in(tmp_path)] == ["a"]


def test_kept_frames_part_into_drives_at_a_pause_and_after_an_hour(tmp_path: Path) -> None:
    for minute in (0, 9, 18, 40, *range(45, 110, 5)):
        keep(tmp_path, f"{minute:064}", time=f"2026-11-29T{10 + minute // 60}:{minute % 60:02}:00+00:00")
    drives = {int(frame.path.stem): frame.drive for frame in frames_in(tmp_path)}
    assert {drives[minute] for minute in (0, 9, 18)} == {"2026-11-29T10:00:00+00:00"}
    assert {drives[minute] for minute in (40, 45, 100)} == {"2026-11-29T10:40:00+00:00"}
    assert drives[105] == "2026-11-29T11:45:00+00:00"


def test_seconds_and_iso_times_mean_the_same(tmp_path: Path) -> None:
    keep(tmp_path, "a", time=1795946400.5)
    keep(tmp_path, "b", time="2026-11-29T10:00:00.5+00:00")
    assert len({frame.drive for frame in frames_in(tmp_path)}) == 1


def test_only_so_many_are_taken_from_all_over_the_folder(tmp_path: Path) -> None:
    touch(tmp_path, *[f"{drive}/{number}.jpg" for drive in "abcde" for number in range(10)])
    found = frames_in(tmp_path, most=10)
    assert [frame.drive for frame in found] == [drive for drive in "abcde" for _ in range(2)]
    assert len(frames_in(tmp_path, most=50)) == 50


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ('{"policy": "rare", "time": 0}', "holds no frames that were kept by the policy uniform"),
        ('{"policy": "uniform", "time": "noon"}', "gives the time 'noon', neither seconds nor ISO 8601"),
        ('{"policy": "uniform"}', "gives the time None"),
        ('{"policy', "is not valid JSON"),
    ],
)
def test_kept_frames_that_cannot_be_used_are_refused_by_name(tmp_path: Path, sidecar: str, said: str) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "a.json").write_text(sidecar)
    with pytest.raises(UsageError, match=said) as caught:
        frames_in(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_pictures_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no pictures"):
        frames_in(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        frames_in(tmp_path / "absent")

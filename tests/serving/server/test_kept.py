import json
from pathlib import Path

import numpy as np
import pytest
from served import picture

from roadseg.contracts.files import digest_file
from roadseg.gate.shadow import WORST, Shadow, read_shadow, read_shadows
from roadseg.serving.server.kept import SEEN, Frame, Keeper

POLICIES = {"uncertain", "rare", "disagreement", "uniform"}


def frame(number: int, sure: float = 0.9, differs: float | None = None, **shares: float) -> Frame:
    return Frame(picture(number, 20, 30), 3, "w" * 64, sure, shares or {"road": 1.0}, {"road": sure}, differs)


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def sidecars(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_a_folder_never_grows_past_its_cap_and_each_frame_is_whole(tmp_path: Path) -> None:
    cap = 40_000
    keeper = Keeper(tmp_path, cap)
    for number in range(40):
        keeper.consider(frame(number, sure=number % 10 / 10))
        assert held(tmp_path) <= cap
    assert held(tmp_path) == keeper.bytes > cap / 2
    for about in sidecars(tmp_path):
        assert digest_file(tmp_path / f"{about['image_sha']}.png") == about["image_sha"]
        assert about["policy"] in POLICIES
        assert (about["version"], about["schema"]) == (3, "roadseg/kept-frame/1")


def test_the_least_sure_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.99)  # none is drawn for the uniform share
    keeper = Keeper(tmp_path, 40_000)
    for number in range(60):
        keeper.consider(frame(number, sure=number / 60))
    kept = {about["confidence"] for about in sidecars(tmp_path)}
    assert 2 < len(kept) < 60
    assert kept == {number / 60 for number in range(len(kept))}


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of these tests' time."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (frame(999, sure=0.2), "uncertain"),
        (frame(999, differs=0.8), "disagreement"),
        (frame(999, road=0.9, animal=0.1), "rare"),
    ],
)
def test_what_speaks_most_for_a_frame_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Frame, policy: str
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.99)
    keeper = Keeper(tmp_path, 10_000_000)
    for number in range(SEEN):
        keeper.consider(frame(number))
    assert keeper.consider(given) == policy


def test_the_uniform_share_does_not_look_at_the_model(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, 40_000)
    for number in range(150):
        keeper.consider(frame(number, sure=number * 7 % 150 / 150))
    uniform = [float(str(about["confidence"])) for about in sidecars(tmp_path) if about["policy"] == "uniform"]
    others = [float(str(about["confidence"])) for about in sidecars(tmp_path) if about["policy"] == "uncertain"]
    assert len(uniform) >= 3
    assert np.mean(uniform) > np.mean(others) + 0.1


def test_a_second_server_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    first = Keeper(tmp_path, 40_000)
    for number in range(25):
        first.consider(frame(number))
    orphan = tmp_path / f"{'a' * 64}.png"
    orphan.write_bytes(b"cut off")
    (tmp_path / "mine.txt").write_text("not ours")
    second = Keeper(tmp_path, 40_000)
    assert second.bytes == first.bytes
    assert not orphan.exists()
    assert (tmp_path / "mine.txt").exists()


def test_a_shadow_adds_up_and_comes_back() -> None:
    known = Shadow(1, 2, "a", "b", ("road", "sky"), np.zeros((2, 2), np.int64))
    for number in range(WORST + 5):
        known = known.with_picture(f"{number:02}", np.array([[90 - number, 10 + number], [0, 0]]))
    known.write()
    found = read_shadow(1, 2)
    assert found is not None
    assert (found.pictures, found.counts.sum()) == (WORST + 5, 100 * (WORST + 5))
    assert found.by_class == {"road": pytest.approx(0.22), "sky": None}
    assert found.disagreement == pytest.approx(0.22)
    assert [digest for digest, _ in found.worst] == [f"{number:02}" for number in range(WORST + 4, 4, -1)]
    assert [(each.champion, each.candidate) for each in read_shadows()] == [(1, 2)]
    assert read_shadow(2, 1) is None

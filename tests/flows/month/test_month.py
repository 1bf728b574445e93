"""A month of a simulated team on a fast clock: drives, code, recipes, outages, a reboot, people who move and answer."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.month.audit import (
    check_champion,
    check_data,
    check_nothing_works,
    check_runs,
    check_trained,
    disk_use,
    records_since,
)
from tests.flows.month.days import MONTH
from tests.flows.month.machine import Machine
from tests.flows.month.team import Team, make_pool, make_team

DAYS = [int(day) for day in os.environ.get("ROADSEG_DAYS", "").split(",") if day]  # not all: while days are written
RECIPE = {"train": {"epochs": 6}, "promote": {"drives": 6}}
MIB = 1 << 20
OF_A_VERSION, OF_A_DAY = (
    12 * MIB,
    6 * MIB,
)  # what checkout and home may grow by; a day with a version was seen to take 15


class Log:
    """A table of days, written as they pass."""

    def __init__(self, path: Path, tree: Path) -> None:
        self.path, self.tree = path, tree
        self._write("| day | event | what the runs said | champion | disk, MiB | s |", "w")
        self._write("|---|---|---|---|---|---|")

    def day(self, number: int, event: str, champion: int | None, began: float) -> None:
        said = "; ".join(f"{each.deployment}: {each.name}" for each in records_since(began)) or "-"
        size, seconds = disk_use(self.tree) / MIB, time.time() - began
        self._write(f"| {number} | {event} | {said} | {champion or '-'} | {size:.0f} | {seconds:.0f} |")

    def _write(self, line: str, mode: str = "a") -> None:
        with self.path.open(mode) as opened:
            opened.write(f"{line}\n")


@pytest.fixture
def team(tmp_path: Path, with_stores: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    machine = Machine(tmp_path / "tree")
    team = make_team(tmp_path, make_pool(tmp_path / "pool", train=20, val=8), machine)
    team.change_params(**RECIPE)
    with_stores(team.tree)
    for name, value in machine.seen_by_people().items():
        monkeypatch.setenv(name, value)
    try:
        machine.up()
        yield team
    finally:
        machine.down()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_a_month_of_a_team_can_be_explained_and_nothing_is_lost(team: Team, tmp_path: Path) -> None:
    log = Log(Path(os.environ.get("ROADSEG_MONTH", tmp_path / "month.log")), team.tree)
    machine = team.hands
    assert isinstance(machine, Machine)
    for number, day in enumerate(MONTH, 1):
        if DAYS and number not in DAYS:
            continue
        began, size = time.time(), disk_use(team.tree)
        try:
            day.happens(team, machine)
        finally:
            log.day(number, day.event, team.champion, began)
        records = records_since(began)
        check_nothing_works()
        check_runs(machine.api, records)
        check_champion()
        check_data(team)
        check_trained(team, records)
        versions = {each.version for each in records if each.version}
        if number > 1:  # the first makes the workspace and what packages compile
            assert disk_use(team.tree) - size < OF_A_DAY + len(versions) * OF_A_VERSION

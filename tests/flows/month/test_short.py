"""A few days of the month in seconds, without a worker: what arrives, what is refused, who moves the alias."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from workspace_project import give_remotes

from roadseg.workspace.records import find_record
from tests.flows.month.audit import (
    KINDS,
    check_champion,
    check_data,
    check_nothing_works,
    check_runs,
    check_trained,
    md5_of,
    records_since,
)
from tests.flows.month.inline import Inline
from tests.flows.month.team import Team, make_pool

# importing MLflow's models warns of its own type hints
pytestmark = pytest.mark.filterwarnings("ignore:.*type hint is inferred:UserWarning")


@pytest.fixture
def team(
    finished: Path,
    with_stores: Callable[[Path], Path],
    tmp_path: Path,
    prefect_api: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Team]:
    tree = Path(shutil.copytree(finished, tmp_path / "tree", symlinks=True))
    give_remotes(with_stores(tree))
    monkeypatch.setenv("ROADSEG_HOME", str(tree / ".roadseg"))
    monkeypatch.setenv("ROADSEG_PAGES", "off")
    monkeypatch.chdir(tree)
    good = [md5 for path, md5 in md5_of(tree, "main").items() if path.startswith(KINDS)]
    with get_client(sync_client=True) as prefect:
        yield Team(tree, make_pool(tmp_path / "pool", train=5, val=0), Inline(tree, prefect), good=good)


def test_a_few_days_of_a_team_can_be_explained_and_nothing_is_lost(team: Team) -> None:
    hands, began = team.hands, time.time()
    assert isinstance(hands, Inline)
    run = team.ask_for_run(requester="anna")
    hands.settle()
    assert (find_record(run).outcome, team.champion) == ("PROMOTE", 1), find_record(run)

    team.deliver()
    bad = team.deliver(spoilt=True)
    look = team.ask_to_look()
    hands.settle()
    assert find_record(look).name.endswith(f"refused train/{bad}")
    hands.settle_new_data()
    assert [each.version for each in records_since(began) if each.deployment == "retrain"] == [1, 2]

    team.move_alias(2 if team.champion == 1 else 1)
    team.ask_promotion(reason="was this wanted?")
    again = team.ask_for_run(reason="weekly")
    hands.settle()
    assert find_record(again).state == "Skipped"

    records = records_since(began)
    check_nothing_works()
    check_runs(hands.api, records)
    check_champion()
    check_data(team)
    check_trained(team, records)

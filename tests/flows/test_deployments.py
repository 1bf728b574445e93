"""The forms of the deployments: what Prefect's page shows and its server checks is what the code checks."""

import asyncio
import inspect
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.server.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema
from trees import ROOT

from flows.ingest import IngestOptions, ingest
from flows.label import LabelImportOptions, LabelOptions, label, label_import
from flows.monitor import MonitorOptions, monitor
from flows.options import Group, RetrainOptions
from flows.predict import PredictOptions, predict
from flows.promote import PromoteOptions, promote
from flows.reconcile import reconcile
from flows.reproduce import ReproduceOptions, reproduce
from flows.retrain import retrain
from flows.rollback import RollbackOptions, rollback

FLOWS = [
    (retrain, RetrainOptions),
    (ingest, IngestOptions),
    (monitor, MonitorOptions),
    (label, LabelOptions),
    (label_import, LabelImportOptions),
    (promote, PromoteOptions),
    (rollback, RollbackOptions),
    (predict, PredictOptions),
    (reproduce, ReproduceOptions),
    (reconcile, Group),  # it takes nothing
]
UNSEEN = ("title", "description", "position")


@pytest.mark.parametrize(("flow", "options"), FLOWS, ids=lambda each: getattr(each, "name", ""))
def test_the_form_shows_what_the_flow_checks_and_says_what_each_field_means(
    flow: Flow[Any, Any], options: type[Group]
) -> None:
    shown = parameter_schema(flow).model_dump()
    checked = options.model_json_schema(ref_template="#/definitions/{model}")
    assert shown["properties"].keys() == checked["properties"].keys()
    assert set(shown.get("required", [])) == set(checked.get("required", []))
    for name, field in shown["properties"].items():
        assert len(field["description"]) > 10, name
        assert {key: value for key, value in field.items() if key not in UNSEEN} == {
            key: value for key, value in checked["properties"][name].items() if key not in UNSEEN
        }, name
    assert shown.get("definitions", {}) == checked.get("$defs", {})


def test_each_deployment_names_a_flow_that_is_there() -> None:
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    entries = {each["name"]: each["entrypoint"] for each in listed}
    assert {flow.name for flow, _ in FLOWS} == entries.keys()
    for flow, _ in FLOWS:
        path, _, name = entries[flow.name].partition(":")
        assert (Path(inspect.getfile(flow.fn)), name) == (ROOT / path, flow.fn.__name__)


@pytest.mark.parametrize("cron", ["30 1 * * *", "0 2 * * *", "30 2 * * *", "0 3 * * *"])
@pytest.mark.parametrize(
    ("place", "day"),
    [("Europe/Berlin", (2026, 10, 23)), ("Europe/Berlin", (2027, 3, 26)), ("America/New_York", (2026, 10, 30))],
)
def test_a_clock_that_is_put_forward_or_back_neither_doubles_nor_drops_a_run(
    cron: str, place: str, day: tuple[int, int, int]
) -> None:
    zone = ZoneInfo(place)
    start = datetime(*day, tzinfo=zone)
    due = asyncio.run(CronSchedule(cron=cron, timezone=place).get_dates(n=5, start=start))
    assert [each.astimezone(zone).date() for each in due] == [start.date() + timedelta(days=late) for late in range(5)]

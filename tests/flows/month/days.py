"""The script of the month: what happens on each day."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from roadseg.registry.versions import MODEL
from roadseg.tracking.store import connect
from roadseg.workspace.records import RunRecord, find_record, read_records
from tests.flows.month.audit import check_nothing_works
from tests.flows.month.machine import Machine
from tests.flows.month.team import Team

SECONDS = 1 / 86400  # of a day
OUTAGE = 20.0  # seconds


class Day(NamedTuple):
    """What happens on a day, in words and in deeds."""

    event: str
    happens: Callable[[Team, Machine], None]


def first(team: Team, machine: Machine) -> None:
    run = team.ask_for_run(requester="anna", reason="the first model")
    machine.settle()
    assert find_record(run).outcome == "PROMOTE", find_record(run)


def quiet(team: Team, machine: Machine) -> None:
    look, run = team.ask_to_look(), team.ask_for_run(reason="weekly")
    machine.settle()
    assert (find_record(look).state, find_record(run).state) == ("Skipped", "Skipped"), find_record(run)


def a_drive(team: Team, machine: Machine) -> None:
    team.deliver()
    _look(team, machine, "Taken")


def a_bad_drive(team: Team, machine: Machine) -> None:
    """It is refused with its reasons, and the good one that came with it is taken."""
    team.deliver()
    bad = team.deliver(spoilt=True)
    look = _look(team, machine, "Taken")
    assert f"refused train/{bad}" in look.name


def the_bad_drive_repaired(team: Team, machine: Machine) -> None:
    team.repair()
    _look(team, machine, "Taken")


def images_without_masks(team: Team, machine: Machine) -> None:
    team.deliver(masks=False)
    _look(team, machine, "Incomplete")


def the_masks(team: Team, machine: Machine) -> None:
    team.deliver_masks()
    _look(team, machine, "Taken")


def all_once_more(team: Team, machine: Machine) -> None:
    team.deliver_again()
    look = team.ask_to_look()
    machine.settle()
    assert find_record(look).state in ("Known", "Skipped"), find_record(look)


def other_code(team: Team, machine: Machine) -> None:
    team.change_code(width=56)
    run = team.ask_for_run(reason="a wider decoder")
    machine.settle()
    assert any(line.startswith("code") for line in find_record(run).changes), find_record(run).changes


def a_worse_recipe(team: Team, machine: Machine) -> None:
    run = team.ask_for_run(overrides={"train": {"epochs": 1}}, reason="in a hurry", requester="ben")
    machine.settle()
    assert find_record(run).outcome == "REJECT", find_record(run)


def mlflow_away(team: Team, machine: Machine) -> None:
    """In the middle of a run, until a task has missed it."""
    machine.stop("mlflow")
    team.deliver()
    look = team.ask_to_look()
    machine.wait_for_trigger()
    machine.wait_for(lambda: bool(_works("retrain")), "the run begins")
    machine.wait_for_task(_works("retrain")[0].run, "publish", "AwaitingRetry")
    machine.begin("mlflow")
    machine.settle()
    assert find_record(look).state == "Taken"


def prefect_away(team: Team, machine: Machine) -> None:
    """While a model is trained."""
    team.change_recipe()
    run = team.ask_for_run(reason="another seed")
    machine.wait_for_stage("train")
    machine.stop("prefect")
    time.sleep(OUTAGE)
    machine.begin("prefect")
    machine.settle()
    assert find_record(run).final, find_record(run)


def reboot(team: Team, machine: Machine) -> None:
    """While a model is trained: the run is Crashed, the next one goes on."""
    team.change_recipe()
    run = team.ask_for_run(reason="one more seed")
    machine.wait_for_stage("train")
    machine.reboot()
    machine.settle()
    assert find_record(run).state == "Crashed", find_record(run)
    again = team.ask_for_run(reason="after the reboot")
    machine.settle()
    assert find_record(again).final, find_record(again)


def two_at_once(team: Team, machine: Machine) -> None:
    """The second waits for the first, and finds nothing left to do; one that must not wait skips."""
    team.change_recipe()
    run = team.ask_for_run(reason="yet another seed")
    machine.wait_for_stage("train")
    second, third = team.ask_for_run(requester="ben"), team.ask_for_run(when_busy="skip")
    machine.settle()
    assert find_record(run).final
    assert {find_record(each).state for each in (second, third)} == {"Skipped"}


def alias_moved(team: Team, machine: Machine) -> None:
    """A person moves it to the worst version; whoever asks the gate next writes that down."""
    team.move_alias(_worst())
    team.ask_promotion(version=_best(), requester="ben", reason="was this wanted?")
    machine.settle()


def asked(team: Team, machine: Machine) -> None:
    """The policy wants a person from now on; the run that asks waits without a process."""
    team.change_params(promote={"approval": True})
    team.move_alias(_worst())
    run = team.ask_promotion(version=_best(), requester="ben", reason="it is better")
    machine.settle()
    assert find_record(run).state == "Suspended", find_record(run)


def approved(team: Team, machine: Machine) -> None:
    [record] = [each for each in read_records() if each.state == "Suspended"]
    machine.answer(record.run, decision="promote", reason="looks right", approver="carla")
    machine.settle()
    assert find_record(record.run).outcome == "PROMOTE"
    assert team.champion == record.version


def overdue(team: Team, machine: Machine) -> None:
    """Nobody answers in time: the version stays on hold."""
    worst = _worst()
    team.move_alias(worst)
    run = team.ask_promotion(version=_best(), requester="ben", answer_days=5 * SECONDS)
    machine.settle()
    assert find_record(run).state == "Suspended", find_record(run)
    time.sleep(5)
    machine.start("reconcile")
    machine.wait_for(lambda: find_record(run).state != "Suspended", "the answer of the deadline")
    machine.settle()
    assert (find_record(run).outcome, team.champion) == ("HOLD", worst)
    team.change_params(promote={"approval": False})


def rolled_back(team: Team, machine: Machine) -> None:
    run = team.roll_back("the new one is worse at night")
    machine.settle()
    assert find_record(run).outcome == "ROLLBACK", find_record(run)


def _look(team: Team, machine: Machine, state: str) -> RunRecord:
    """Look into the inbox; where something was taken, a run of retrain must follow by itself."""
    before = {each.run for each in read_records()}
    look = team.ask_to_look()
    machine.settle()
    assert find_record(look).state == state, find_record(look)
    if state == "Taken":
        machine.settle_new_data()
        followed = [each for each in read_records() if each.deployment == "retrain" and each.run not in before]
        assert [each.final or each.outcome == "ASKED" for each in followed] == [True], followed
    check_nothing_works()
    return find_record(look)


def _works(deployment: str) -> list[RunRecord]:
    return [each for each in read_records() if each.deployment == deployment and each.state == "Running"]


def _registered(judged: Iterable[dict[str, Any]]) -> list[tuple[float, int]]:
    """Mean IoU and number of each judged version that is in the registry, the worst first."""
    found = {int(each["version"]): float(each["miou"]) for each in judged if each.get("miou") is not None}
    there = {int(each.version) for each in connect().search_model_versions(f"name = '{MODEL}'")}
    return sorted((miou, version) for version, miou in found.items() if version in there)


def _decisions() -> list[dict[str, Any]]:
    return [record.decision for record in read_records() if record.decision]


def _worst() -> int:
    return _registered(each[who] for each in _decisions() for who in ("candidate", "champion") if each.get(who))[0][1]


def _best() -> int:
    """The best of those that the gate once took: a better one may have broken a rule."""
    return _registered(each["candidate"] for each in _decisions() if each["outcome"] == "PROMOTE")[-1][1]


MONTH = [
    Day("the first run", first),
    Day("a drive arrives", a_drive),
    Day("a bad drive arrives with a good one", a_bad_drive),
    Day("a worse recipe", a_worse_recipe),
    Day("a person changes the code", other_code),
    Day("MLflow is away while a drive arrives", mlflow_away),
    Day("a person moves the alias", alias_moved),
    Day("Prefect is away during a training", prefect_away),
    Day("the machine reboots during a training", reboot),
    Day("the policy asks a person", asked),
    Day("the person says yes", approved),
    Day("nobody answers in time", overdue),
    Day("the bad drive comes repaired", the_bad_drive_repaired),
    Day("two runs at once", two_at_once),
    Day("images without masks", images_without_masks),
    Day("their masks", the_masks),
    Day("everything arrives once more", all_once_more),
    Day("the champion is rolled back", rolled_back),
    Day("nothing happens", quiet),
    *[Day("a drive arrives", a_drive), Day("nothing happens", quiet)] * 3,
    Day("the machine reboots during a training", reboot),
    Day("a drive arrives", a_drive),
    Day("Prefect is away during a training", prefect_away),
    Day("MLflow is away while a drive arrives", mlflow_away),
    Day("nothing happens", quiet),
]

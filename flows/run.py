"""What every flow does around its work: one home, errors in one line, a record in home, a name that tells its end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.log import leave_out_tracebacks
from flows.services.alive import hold
from flows.services.reconcile import reconcile_runs
from flows.tell import tell
from roadseg.contracts.errors import REFUSED
from roadseg.contracts.files import home
from roadseg.pipeline.environment import settle
from roadseg.tracking.outage import told
from roadseg.workspace.lock import Holder
from roadseg.workspace.records import RunRecord, present_versions, read_record, write_record

SUSPENDED = "Suspended"  # Prefect's name for a run that waits for a person
NAME = 200  # characters of a run's name that are shown anywhere


class Run:
    """A flow run as its flow sees it, and its record in home.

    Attributes:
        id: the flow run's.
        repository: the project folder that it was started in: of a person's checkout.
        record: as it was written last.
        named: whether the flow has said what it does or did.
    """

    def __init__(self, deployment: str, requester: str) -> None:
        """Begin the record; of a run that waited for a person, go on with it."""
        context = FlowRunContext.get()
        assert context, "call it in a flow"
        assert context.flow_run
        self.named = False
        self.id, self.repository, self._deployed = str(context.flow_run.id), Path.cwd(), context.flow_run.deployment_id
        self.record = RunRecord(
            run=self.id,
            deployment=deployment,
            name=context.flow_run.name,
            requester=requester,
            url=(flow_run.ui_url or "") if self._deployed else "",  # a server of the flow's own has no pages
            versions=present_versions(),
        )
        # Prefect knows that it has asked, also where it was killed before the record said so
        if context.flow_run.empirical_policy.pause_keys and (before := read_record(self.id)):
            self.record = before.model_copy(update={"state": "Running", "ended": None, "final": False})
        write_record(self.record)

    @property
    def deployed(self) -> bool:
        """Whether a worker started it, for a deployment."""
        return self._deployed is not None

    @property
    def holder(self) -> Holder:
        """What the workspace's lock says of it."""
        return Holder(self.id, f"{self.record.deployment} {self.record.name}", os.getpid(), time.time())

    @property
    def folder(self) -> Path:
        """Where decision and page of it are, in home."""
        path = home() / "flows" / self.id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def note(self, **fields: Any) -> None:
        """Write fields of the record."""
        self.record = self.record.model_copy(update=fields)
        write_record(self.record)

    def warn(self, problem: str) -> None:
        """Say what did not work beside the run, in its log and in its record; nothing where it is empty."""
        if problem:
            get_run_logger().warning("%s", problem)
            if problem not in self.record.problem:
                self.note(problem="; ".join(filter(None, [self.record.problem, problem])))

    def name_it(self, text: str, *, so_far: bool = False) -> None:
        """Name the run by what it does or did, in Prefect and in the record; a server that is away changes nothing.

        Args:
            text: any.
            so_far: it is what the run does now, which a failure replaces.
        """
        text = " ".join(text.split())[:NAME]
        self.note(name=text)
        self.named = not so_far
        try:
            with get_client(sync_client=True) as client:
                client.update_flow_run(UUID(self.id), name=text)
        except Exception as error:
            get_run_logger().warning("the run keeps its old name: %s: %s", type(error).__name__, error)

    def announce(self, event: str, resource: str, **payload: Any) -> None:
        """Emit an event that deployments and automations can start from.

        Args:
            event: such as roadseg.dataset.changed.
            resource: what it is about, such as roadseg.dataset.city.
            payload: ids, numbers and links, no pictures.
        """
        labels = {"prefect.resource.id": resource, "roadseg.home": str(home())}  # a shared server knows several homes
        related = [{"prefect.resource.id": f"prefect.flow-run.{self.id}", "prefect.resource.role": "flow-run"}]
        emit_event(event, resource=labels, related=related, payload={**payload, "run": self.id})


@contextmanager
def recorded(deployment: str, *, requester: str = "") -> Iterator[Run]:
    """Settle the process, and keep the run's record up to date while the block runs, also where it fails.

    The name is the run's until `Run.name_it` gives another. A failure is told to people, a result by the flow itself.

    Args:
        deployment: of the run, also where it is started by hand: retrain, ingest, ...
        requester: who asked for it, as far as that was said.
    """
    os.environ["ROADSEG_HOME"] = str(home())  # one home for this process and every stage
    settle()  # a worker has started this process
    leave_out_tracebacks()
    run = Run(deployment, requester)
    hold(run.id)
    for line in reconcile_runs():
        get_run_logger().warning("%s", line)
    try:
        yield run
    except Pause as pause:  # it goes on in another process
        run.note(state=pause.state.name if pause.state else SUSPENDED)
        raise
    except Exception as error:
        _fail(run, error)
        raise
    except BaseException:  # told to stop: cancelled, or its worker ends
        run.note(state="Interrupted", ended=time.time())
        raise
    if run.record.ended is None:
        state = run.record.state
        run.note(state="Completed" if state == "Running" else state, ended=time.time())


def ended(name: str, message: str) -> State[Any]:
    """A good end that is no plain Completed: what the run did in a word, such as Skipped, and why."""
    return Completed(name=name, message=message)


def _fail(run: Run, error: Exception) -> None:
    line = told(error)
    problem = str(line) if line else f"{type(error).__name__}: {error}"
    refused = line is not None and line.exit_code == REFUSED
    run.note(state="Failed", problem=problem, ended=time.time())
    if not run.named:  # else the flow knew more
        run.name_it("refused" if refused else f"failed: {problem.splitlines()[0]}"[:80])
    title = f"{run.record.deployment}: {run.record.name}"
    tell("refused" if refused else "failed", title, reason=problem, link=run.record.url)

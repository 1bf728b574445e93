"""What `make up` puts on the Prefect server: the work pool, the deployments, and a second net for lost runs."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.process import ProcessWorker

from flows.services.environment import checkout_name
from flows.services.form import with_present_values
from flows.services.supervisor import run
from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.settings import read_settings

COMMAND = "setpriv --pdeathsig TERM python -m flows.services.engine"  # a run ends with its worker
ROUTED = ("docker", "kubernetes")  # types of pools whose command makes a checkout: `flows.services.job`
PAGE = 200  # deployments in one answer of Prefect
SILENCE = timedelta(hours=1)  # twenty heartbeats: one that is merely late must not end a run


def make_deployments(env: dict[str, str]) -> list[dict[str, Any]]:
    """Make or update the work pool, the deployments of prefect.yaml and the automation.

    Returns:
        The deployments as prefect.yaml has them, under the names that they have on the server.
    """
    with temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}), get_client(sync_client=True) as client:
        _make_pool(client, env["ROADSEG_POOL"])
        content = yaml.safe_load(Path("prefect.yaml").read_text(encoding="utf-8"))
        routes = _routes(client, env, [each["name"] for each in content["deployments"]])
        deployments = _deploy_all(env, content, routes)
        names = {each["name"] for each in deployments}
        ours = [each for each in _deployments_of(client, [env["ROADSEG_POOL"], *routes.values()]) if each.name in names]
        _show_present_values(client, ours)
        _make_automation(client, env["ROADSEG_POOL"], ours)
    return deployments


def _routes(client: SyncPrefectClient, env: dict[str, str], names: list[str]) -> dict[str, str]:
    """Which deployments go to a pool of Docker or Kubernetes: `ROADSEG_POOL_RETRAIN=roadseg-gpu` names one.

    Raises:
        UsageError: there is no such pool, or it is of another type.
    """
    variables = {name: f"ROADSEG_POOL_{name.upper().replace('-', '_')}" for name in names}
    routes = {name: env[variable] for name, variable in variables.items() if env.get(variable)}
    for name, pool in routes.items():
        try:
            kind = client.read_work_pool(pool).type
        except ObjectNotFound:
            kind = "absent"
        if kind not in ROUTED:
            raise UsageError(
                f"{variables[name]} names work pool {pool}, which is {kind} there: `prefect work-pool create {pool} "
                "--type docker --base-job-template flows/pools/docker.json`, or kubernetes"
            )
    return routes


def _deploy_all(env: dict[str, str], content: dict[str, Any], routes: dict[str, str]) -> list[dict[str, Any]]:
    for deployment in content["deployments"]:
        if pool := routes.get(deployment["name"]):
            # this checkout's folder is not there: the pool's command starts the engine where the checkout is
            deployment["work_pool"] = {"name": pool}
            deployment["pull"] = [{"prefect.deployments.steps.set_working_directory": {"directory": "."}}]
        else:
            deployment["work_pool"] = deployment["work_pool"] | {"name": env["ROADSEG_POOL"]}
        if env["OWN_PREFECT"] != "true":
            deployment["name"] += f"-{checkout_name()}"
    written = Path(env["SERVICES"]) / "prefect.yaml"
    written.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(written)]
    run(command, env, Path(env["SERVICES"]) / "deploy.log")
    return list(content["deployments"])


def _make_pool(client: SyncPrefectClient, name: str) -> None:
    """Make the pool, or give it our command and let it run; limits that a person has set stay."""
    template = ProcessWorker.get_default_base_job_template()
    template["variables"]["properties"]["command"]["default"] = COMMAND
    try:
        client.read_work_pool(name)
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=template, is_paused=False))
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))


def _deployments_of(client: SyncPrefectClient, pools: list[str]) -> list[DeploymentResponse]:
    return client.read_deployments(work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=pools)), limit=PAGE)


def _show_present_values(client: SyncPrefectClient, deployments: list[DeploymentResponse]) -> None:
    params = read_settings(paths.PARAMS)
    for each in deployments:
        schema = with_present_values(each.parameter_openapi_schema or {}, params)
        if schema != each.parameter_openapi_schema:
            client.update_deployment(each.id, DeploymentUpdate(parameter_openapi_schema=schema))


def _make_automation(client: SyncPrefectClient, pool: str, deployments: list[DeploymentResponse]) -> None:
    """Let Prefect call a run Crashed that sends no heartbeat: the second net, for when this whole machine is gone."""
    wanted = AutomationCore(
        name=f"{pool}: crash runs without a heartbeat",
        description="`make up` keeps it; the deployment reconcile knows earlier and surely.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},  # ends that flows name themselves send events of their names
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={  # heartbeats name no pool
                "prefect.resource.role": "deployment",
                "prefect.resource.id": [f"prefect.deployment.{each.id}" for each in deployments],
            },
            for_each={"prefect.resource.id"},
            threshold=1,
            within=SILENCE,
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message="its heartbeat stopped")],
    )
    known = client.read_automations_by_name(wanted.name)
    for double in known[1:]:
        client.delete_automation(double.id)
    if known:
        client.update_automation(known[0].id, wanted)
    else:
        client.create_automation(wanted)

"""What a deployment costs where nothing changed, and what the flow adds to `dvc repro` of the same work.

The samples are those of `benchmarks.no_change`. Nobody waits in a queue here: the benchmark starts the process that a
worker would start. The model is small and trained for one epoch, so that most of the time is the pipeline's own.
Example: `python -m benchmarks.deployment 20000`
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import Any
from uuid import UUID

if __name__ == "__main__":
    os.environ["ROADSEG_HOME"] = tempfile.mkdtemp(prefix="roadseg-deployment-")  # settled before Prefect is imported
    from flows.ready import make_ready

    make_ready()

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from benchmarks.machine import machine
from benchmarks.no_change import multiply
from benchmarks.samples import unpack
from flows.services.deploy import make_deployments
from flows.services.environment import services_environment
from flows.services.server import prefect_server
from roadseg.contracts.files import home
from roadseg.pipeline.settings import change_settings

ROOT = Path(__file__).parent.parent
ROUNDS = 3
PARAMS: dict[str, dict[str, Any]] = {
    "preprocess": {"height": 64, "width": 128},
    "train": {"epochs": 1, "reduced_share": 0.0},
    "promote": {"miou_min": 0.0},
}
AFTER = {"publish", "register", "promote"}  # tasks that `dvc repro` has not


def make_checkout(tree: Path, samples: int) -> None:
    """Clone, add samples, commit: what a person has before the first run."""
    run(tree.parent, "git", "clone", "-q", str(ROOT), str(tree))
    run(tree, "git", "remote", "remove", "origin")  # runs would take the branch as it has it, without data
    multiply(unpack(tree.parent / "source"), tree / "data/raw", samples)
    (tree / "data/classes.yaml").write_text((ROOT / "src/roadseg/contracts/tables/idd-level1.yaml").read_text())
    (tree / "data/quarantine.csv").write_text("sample,image_sha,reason\n")
    (tree / "data/reference.json").write_text("{}\n")
    (tree / "data/splits.csv").write_text("drive,split,dataset,batch\n")
    for section, values in PARAMS.items():
        change_settings(tree / "params.yaml", section, values)
    run(tree, "dvc", "add", "-q", "data/raw")
    commit(tree, "start")


def commit(tree: Path, message: str) -> None:
    """Commit all."""
    run(tree, "git", "add", "-A")
    run(tree, "git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "commit", "-qm", message)


def run(tree: Path, *command: str, **more: str) -> float:
    """Seconds of a command in the checkout, which must not fail."""
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": f"{tree / 'src'}:{tree}", **more}
    subprocess.run(command, cwd=tree, check=True, env=environment, stdout=sys.stderr)
    return round(time.monotonic() - start, 1)


def run_deployment(client: SyncPrefectClient, tree: Path, deployment: UUID) -> tuple[float, str, dict[str, float]]:
    """Seconds of a run from its process's start to its end, its name, and the seconds of its tasks."""
    made = client.create_flow_run_from_deployment(deployment)
    seconds = run(tree, sys.executable, "-m", "flows.services.engine", PREFECT__FLOW_RUN_ID=str(made.id))
    found = client.read_flow_run(made.id)
    if not (found.state and found.state.is_completed()):
        sys.exit(f"run {found.name} did not come through: {found.state}")
    tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[made.id])))
    spent = {task.name: round(task.total_run_time.total_seconds(), 1) for task in tasks}
    return seconds, found.name, spent


def measure(tree: Path, client: SyncPrefectClient, deployment: UUID) -> dict[str, Any]:
    """The first run, runs in which nothing changed, and the same change by the flow and by `dvc repro`."""
    first, name, _ = run_deployment(client, tree, deployment)
    figures: dict[str, Any] = {"first_s": first, "first": name}
    skips = [run_deployment(client, tree, deployment) for _ in range(ROUNDS)]
    figures |= {"skipped_s": [seconds for seconds, _, _ in skips], "skipped": sorted({name for _, name, _ in skips})}
    run(tree, "dvc", "repro", "-q")  # the person's tree has it from the run cache
    change_settings(tree / "params.yaml", "evaluate", {"resamples": 900})
    commit(tree, "another number of draws")
    whole, name, tasks = run_deployment(client, tree, deployment)
    figures["repro_s"] = run(tree, "dvc", "repro", "-q", "--no-run-cache")  # the same work, in a tree that stands
    after = round(sum(seconds for task, seconds in tasks.items() if task in AFTER), 1)
    in_tasks = round(sum(tasks.values()), 1)
    return figures | {
        "flow": name,
        "flow_s": whole,
        "tasks_s": tasks,
        "publish_and_judge_s": after,
        "around_tasks_s": round(whole - in_tasks, 1),
        "added_s": round(whole - after - figures["repro_s"], 1),
    }


def main() -> None:
    """Measure; prints one JSON object."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        make_checkout(tree, samples)
        with prefect_server(home() / "prefect-server.log") as url, chdir(tree):
            os.environ["PREFECT_API_URL"] = url
            env = services_environment()
            Path(env["SERVICES"]).mkdir(parents=True)
            [name] = [each["name"] for each in make_deployments(env) if each["name"].startswith("retrain")]
            with get_client(sync_client=True) as client:
                deployment = client.read_deployment_by_name(f"retrain/{name}").id
                figures = measure(tree, client, deployment)
    shutil.rmtree(home())  # made above for this alone
    print(json.dumps({"samples": samples, **figures, "date": time.strftime("%Y-%m-%d"), **machine()}, indent=1))


if __name__ == "__main__":
    main()

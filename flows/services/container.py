"""The worker of a container: data to begin with, a commit that holds them, the deployments, and Prefect's worker.

What it works on lies in volumes: `.git`, `data`, DVC's cache and home. An image of newer code becomes a commit on top.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from flows.ready import make_ready
from roadseg.contracts import paths
from roadseg.workspace.plumbing import maybe
from roadseg.workspace.revision import remember_served

SCENES = ["--train", "48", "--val", "16", "--test", "4"]
WHO = ["-c", "user.name=roadseg", "-c", "user.email=roadseg@localhost"]


def main() -> None:
    """Run the worker until the container is stopped, and then until its runs have ended."""
    make_ready()
    set_remote(os.environ.get("ROADSEG_DVC_REMOTE", ""))
    have_data()
    commit_tree()
    remember_served(Path.cwd())
    env = container_environment()
    Path(env["SERVICES"]).mkdir(parents=True, exist_ok=True)
    from flows.services.deploy import make_deployments  # late: Prefect loads in seconds

    make_deployments(env)
    sys.exit(work(env))


def container_environment() -> dict[str, str]:
    """What the worker sees: the stack's own servers, whose names carry no checkout."""
    from flows.services.environment import services_environment

    here = {name: os.environ[name] for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL") if name in os.environ}
    return services_environment() | here | {"ROADSEG_POOL": "roadseg", "OWN_PREFECT": "true"}


def set_remote(address: str) -> None:
    """Let DVC keep what it caches in the stack's store too; settings that lie in the tree win."""
    if address:
        _run("dvc", "remote", "add", "--global", "--force", "--default", "stack", address)
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            _run("dvc", "remote", "modify", "--global", "stack", "endpointurl", endpoint)


def have_data() -> None:
    """Bring the data that the commit names from the remote; where it names none, generate scenes and import them."""
    if not paths.RAW_DVC.exists() and maybe(Path.cwd(), "ls-tree", "HEAD", str(paths.RAW_DVC)):  # it was restored
        _run("git", "checkout", "--quiet", "HEAD", "--", str(paths.RAW_DVC.parent))
    if not paths.RAW_DVC.exists():
        with tempfile.TemporaryDirectory() as folder:
            scenes = str(Path(folder, "scenes"))  # the data set is called after it
            _run(sys.executable, "-m", "roadseg", "data", "synthetic", scenes, *SCENES)
            _run(sys.executable, "-m", "roadseg", "data", "import", scenes)
    elif not paths.RAW.exists():
        _run("dvc", "pull", "--quiet", str(paths.RAW_DVC))


def commit_tree() -> None:
    """Commit what a newer image or an import brought, since a run works on a commit."""
    _run("git", "add", "--all")
    if _run("git", "diff", "--cached", "--quiet", check=False):
        _run("git", *WHO, "commit", "--quiet", "--message", "The tree of this image, with its data")


def work(env: dict[str, str]) -> int:
    """Prefect's worker; told to stop, its runs are cancelled first, so that trainers write their checkpoints."""
    from flows.services.ending import end_runs, wait_for_processes

    worker = subprocess.Popen([sys.executable, "-m", "flows.services.worker"], env=env, start_new_session=True)
    stopped = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        end_runs(env)
        worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    code = worker.wait()
    wait_for_processes()
    return 0 if stopped else code


def _run(*command: str, check: bool = True) -> int:
    if not shutil.which(command[0]):
        raise FileNotFoundError(f"{command[0]} is not installed here")
    return subprocess.run(command, check=check).returncode


if __name__ == "__main__":
    main()

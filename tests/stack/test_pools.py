"""Work pools past one machine: the server takes their templates, and what they make of a run is valid."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.utilities.templating import apply_values, find_placeholders
from team_stack import PREFECT_LOGIN, Stack, client_as
from trees import ROOT
from workspace_project import git

from flows.services import deploy
from flows.services.job import logins, make_checkout
from roadseg.contracts.errors import UsageError
from roadseg.registry.versions import MODEL
from roadseg.workspace.data import raw_md5

POOLS = ROOT / "flows/pools"
VERSION = "1.34"  # of Kubernetes


def template(kind: str) -> dict[str, Any]:
    return dict(json.loads((POOLS / f"{kind}.json").read_text()))


def configured(kind: str, **chosen: Any) -> dict[str, Any]:
    """What a worker makes of the template for a run, with defaults where nothing is chosen."""
    content = template(kind)
    values = {name: each["default"] for name, each in content["variables"]["properties"].items() if "default" in each}
    return dict(apply_values(content["job_configuration"], values | {"name": "grey-owl"} | chosen))


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_every_variable_is_used_and_described_and_every_place_has_one(kind: str) -> None:
    content = template(kind)
    used = {found.name for found in find_placeholders(content["job_configuration"])}
    assert used == set(content["variables"]["properties"])
    assert all(each["description"] for each in content["variables"]["properties"].values())


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_the_server_takes_the_pool(stack: Stack, kind: str) -> None:
    settings = {PREFECT_API_URL: stack.prefect, PREFECT_API_AUTH_STRING: PREFECT_LOGIN}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        pool = WorkPoolCreate(name=f"roadseg-{kind}", type=kind, base_job_template=template(kind))
        made = client.create_work_pool(pool, overwrite=True)
        assert made.base_job_template == template(kind)


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_run_becomes_a_valid_job_with_its_gpu_volumes_and_secrets(gpus: int) -> None:
    manifest = configured("kubernetes", gpus=gpus)["job_manifest"]
    # the worker turns these two into lists, and adds its own labels
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["args"] = container["args"].split()
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    assert int(container["resources"]["limits"]["nvidia.com/gpu"]) == gpus
    assert container["envFrom"] == [{"secretRef": {"name": "roadseg-logins"}}]
    del manifest["spec"]["template"]["spec"]["restartPolicy"]
    manifest["spec"]["backofLimit"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_what_a_cluster_needs_is_valid_and_has_what_the_jobs_name() -> None:
    listed = [each for each in yaml.safe_load_all((POOLS / "kubernetes.yaml").read_text()) if each]
    for each in listed:
        kubernetes_validate.validate(each, VERSION, strict=True)
    there = {(each["kind"], each["metadata"]["name"]) for each in listed}
    spec = configured("kubernetes")["job_manifest"]["spec"]["template"]["spec"]
    claims = {("PersistentVolumeClaim", each["persistentVolumeClaim"]["claimName"]) for each in spec["volumes"][:2]}
    assert there >= {*claims, ("ServiceAccount", spec["serviceAccountName"])}


def test_a_container_of_docker_has_its_gpu_and_no_secret_in_its_variables() -> None:
    made = configured("docker")
    assert made["container_create_kwargs"]["device_requests"][0]["Capabilities"] == [["gpu"]]
    assert configured("docker", device_requests=[])["container_create_kwargs"]["device_requests"] == []
    assert made["privileged"] is False
    text = Path(POOLS / "docker.json").read_text()
    assert "SECRET_ACCESS_KEY" not in text
    assert made["env"]["ROADSEG_LOGINS"] in {volume.split(":")[1] for volume in made["volumes"]}


@pytest.fixture
def shared(finished: Path, tmp_path: Path) -> Path:
    """The team's repository, bare, in which everything has run."""
    git(tmp_path, "clone", "-q", "--bare", str(finished), str(tmp_path / "shared.git"))
    return tmp_path / "shared.git"


def test_a_job_gets_a_checkout_that_follows_the_repository(shared: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ROADSEG_REPOSITORY is not set: name the repository"):
        make_checkout("")
    with pytest.raises(UsageError, match=r"git clone of ROADSEG_REPOSITORY failed .*: correct its") as failed:
        make_checkout(f"{tmp_path}/token-of-the-tests.git")
    checkout = make_checkout(str(shared))
    assert (checkout / "data/raw.dvc").exists()
    git(tmp_path, "clone", "-q", str(shared), "person")
    git(tmp_path / "person", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "new")
    git(tmp_path / "person", "push", "-q")
    assert make_checkout(str(shared)) == checkout  # while another holds it, it stays
    assert git(checkout, "log", "-1", "--format=%s") != "new"
    assert "token-of-the-tests" not in str(failed.value)


def test_a_file_of_logins_is_lines_of_variables(tmp_path: Path) -> None:
    (tmp_path / "logins").write_text("# of the team\nMLFLOW_TRACKING_USERNAME=worker\nA = b=c\n\n")
    assert logins(str(tmp_path / "logins")) == {"MLFLOW_TRACKING_USERNAME": "worker", "A": "b=c"}
    assert logins("") == {}


def image_of(finished: Path, folder: Path) -> Path:
    """What lies in /roadseg of a container: code, a repository of its own, no data; the cache is a volume."""
    for name in ("src", "flows", ".dvc/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    shutil.copytree(finished / ".dvc/cache", folder / ".dvc/cache")
    git(folder, "init", "-q")
    md5 = raw_md5((finished / "data/raw.dvc").read_text())
    listing = folder / f".dvc/cache/files/md5/{md5[:2]}/{md5.removesuffix('.dir')[2:]}.dir"
    one = json.loads(listing.read_text())[0]["md5"]
    for lacking in (listing, folder / f".dvc/cache/files/md5/{one[:2]}/{one[2:]}"):
        lacking.chmod(0o600)
        lacking.unlink()  # comes from the remote
    return folder


@pytest.mark.soak
@pytest.mark.timeout(1800)  # of the fixtures too: the stack, a finished checkout
def test_a_run_that_is_routed_to_a_pool_works_in_a_checkout_of_the_repository(
    stack: Stack, finished: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, home = tmp_path / "person's", tmp_path / "volume"
    git(tmp_path, "clone", "-q", str(shared), str(tree))
    client, made = client_as(stack, "gate", monkeypatch), configured("docker")
    person = {name: value for name, value in stack.environment("gate").items() if name.startswith("PREFECT_")}
    for name, value in person.items():
        monkeypatch.setenv(name, value)
    settings = {PREFECT_API_URL: stack.prefect, PREFECT_API_AUTH_STRING: PREFECT_LOGIN}
    with temporary_settings(settings), get_client(sync_client=True) as prefect:
        monkeypatch.chdir(tree)
        monkeypatch.setenv("ROADSEG_HOME", str(tree / ".roadseg"))
        env = deploy_environment(monkeypatch, tree, "roadseg-routed")
        with pytest.raises(UsageError, match="ROADSEG_POOL_RETRAIN names work pool roadseg-routed, which is absent"):
            deploy.make_deployments(env)
        pool = WorkPoolCreate(name="roadseg-routed", type="docker", base_job_template=template("docker"))
        prefect.create_work_pool(pool)
        for _ in range(2):  # a second `make up` leaves it there
            name = next(each["name"] for each in deploy.make_deployments(env) if each["name"].startswith("retrain-"))
        deployment = prefect.read_deployment_by_name(f"retrain/{name}")
        other = prefect.read_deployment_by_name(f"promote/{name.replace('retrain', 'promote', 1)}")
        assert (deployment.work_pool_name, other.work_pool_name) == ("roadseg-routed", env["ROADSEG_POOL"])
        asked = prefect.create_flow_run_from_deployment(deployment.id)
        made["env"] |= deployment.job_variables.get("env", {})
        file = tmp_path / "logins.env"
        names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING")
        secret = {each: stack.environment("gate")[each] for each in names} | {"ROADSEG_REPOSITORY": str(shared)}
        file.write_text("".join(f"{each}={value}\n" for each, value in secret.items()))
        container = made["env"] | {
            "PREFECT__FLOW_RUN_ID": str(asked.id), "PREFECT_API_URL": stack.prefect,  # by the worker
            "MLFLOW_TRACKING_URI": stack.mlflow, "ROADSEG_DVC_REMOTE": str(finished / ".dvc/cache"),  # of its env
            "ROADSEG_LOGINS": str(file),  # where the template mounts it is not ours here
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "HOME": str(tmp_path),
            "ROADSEG_HOME": str(home), "ROADSEG_PAGES": "off", "DVC_SITE_CACHE_DIR": str(tmp_path / "dvc"),
        }  # fmt: skip
        command, image = shlex.split(made["command"]), image_of(finished, tmp_path / "image")
        done = subprocess.run(command, cwd=image, env=container, capture_output=True, text=True)
        state = prefect.read_flow_run(asked.id).state
    assert state is not None
    assert (done.returncode, state.is_completed()) == (0, True), (state, done.stdout[-3000:], done.stderr[-3000:])
    assert "version" in str(client.search_model_versions(f"name = '{MODEL}'"))
    assert f"{home}/workspace" in done.stderr + done.stdout
    assert "secret" not in json.dumps(deployment.job_variables)


def deploy_environment(monkeypatch: pytest.MonkeyPatch, tree: Path, pool: str) -> dict[str, str]:
    """What `make up` has in a person's shell that names a pool for `retrain`."""
    from flows.services.environment import services_environment

    monkeypatch.setenv("ROADSEG_POOL_RETRAIN", pool)
    env = services_environment()
    Path(env["SERVICES"]).mkdir(parents=True)
    return env

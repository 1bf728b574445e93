"""Work pools past one machine: the server takes their templates, and what they make of a run is valid."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.utilities.templating import apply_values, find_placeholders
from team_stack import PREFECT_LOGIN, Stack
from trees import ROOT

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

import os
import platform
import pwd
import urllib.request

import pytest

from roadseg.contracts.files import home
from roadseg.pipeline.environment import settle


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())


def test_this_machine_is_asked_without_a_proxy_and_others_as_before() -> None:
    os.environ |= {"http_proxy": "http://proxy:3128", "no_proxy": "internal"}
    os.environ.pop("NO_PROXY", None)
    settle()
    settle()
    assert os.environ["no_proxy"] == "internal,127.0.0.1,localhost,::1"
    assert os.environ["NO_PROXY"] == "127.0.0.1,localhost,::1"
    for host in ("127.0.0.1:5000", "localhost:4200", "internal"):
        assert urllib.request.proxy_bypass_environment(host)
    assert not urllib.request.proxy_bypass_environment("mlflow.example.org")


def test_state_of_prefect_and_dvc_lies_in_home_unless_the_user_says_where() -> None:
    for name in ("PREFECT_HOME", "DVC_SITE_CACHE_DIR"):
        os.environ.pop(name, None)
    settle()
    assert os.environ["PREFECT_HOME"] == str(home() / "prefect")
    assert os.environ["DVC_SITE_CACHE_DIR"] == str(home() / "dvc")
    os.environ["PREFECT_HOME"] = "/elsewhere"
    settle()
    assert os.environ["PREFECT_HOME"] == "/elsewhere"


def test_a_user_without_an_entry_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        os.environ.pop(name, None)
    settle()
    assert "LOGNAME" not in os.environ

    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    settle()
    assert os.environ["LOGNAME"] == f"user-{os.getuid()}"


@pytest.mark.parametrize(("machine", "settled"), [("x86_64", "1"), ("aarch64", None)])
def test_every_x86_processor_computes_with_onednn_unless_the_user_says_no(
    machine: str, settled: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
    settle()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == settled
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    settle()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"

"""`roadseg doctor` finds what is there, says what to do about what is wrong, and tells what stops."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import write_json
from roadseg.doctor import machine, model, software, tree
from roadseg.doctor.finding import Finding
from roadseg.doctor.services import listener, services

Ask = Callable[[], tuple[dict[str, Finding], int]]


def test_where_nothing_is_wrong_nothing_stops_and_all_is_told(examined: Ask) -> None:
    found, code = examined()
    assert code == 0
    assert {name for name, finding in found.items() if finding.stops} == set()
    assert {"python", "keras", "backend", "processor", "cores", "memory", "gpu", "git", "dvc", "cache"} <= found.keys()
    assert {"home", "tracking", "prefect's port", "mlflow's port", "lock", "precision", "threads", "workers"} <= set(
        found
    )
    assert found["cores"].found == str(len(os.sched_getaffinity(0)))
    assert found["lock"].found == "cpu (installed: cpu)"


def test_the_table_says_the_same(checkout: Path) -> None:
    shutil.rmtree(checkout / ".dvc")
    done = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "run from the folder that holds dvc.yaml and .dvc" in done.output
    assert "something would stop the pipeline" in done.output


@pytest.mark.parametrize(
    ("name", "damage", "remedy"),
    [
        ("git", lambda folder: shutil.rmtree(folder / ".git"), "git init"),
        ("dvc", lambda folder: shutil.rmtree(folder / ".dvc"), "run from the folder"),
        ("params", lambda folder: (folder / "params.yaml").write_text("train: {epochs: x}"), "train.epochs"),
        ("params", lambda folder: (folder / "params.yaml").unlink(), "run from the folder"),
        ("cache", lambda folder: (folder / ".dvc/config").write_text("[cache]\n type = reflink\n"), "cache.type"),
        ("workers", lambda folder: os.environ.update(ROADSEG_WORKERS="many"), "number of processes"),
        ("backend", lambda folder: os.environ.update(NO_BACKEND="1"), "make setup"),
    ],
)
def test_what_would_stop_the_pipeline_is_named_with_what_to_do(
    checkout: Path,
    examined: Ask,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Path], object],
    remedy: str,
) -> None:
    monkeypatch.setattr(tree, "reflink", _no_reflink)
    monkeypatch.setattr(software, "installed", lambda name: None if _is_gone(name) else "1.0")
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        damage(checkout)
        found, code = examined()
    assert code == 2
    assert found[name].stops
    assert remedy in found[name].problem


def _is_gone(name: str) -> bool:
    return name in software.LOCKS and "NO_BACKEND" in os.environ


def _no_reflink(source: Path, target: Path) -> None:
    raise OSError("not here")


def test_a_home_that_cannot_be_written_or_a_full_disk_stops(examined: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    for free, stops, told in ((100 << 30, False, False), (2 << 30, False, True), (1 << 20, True, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        found, code = examined()
        assert (found["home"].stops, bool(found["home"].problem), code) == (stops, told, 2 * stops)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 30))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert examined()[0]["home"].stops


def card(folder: Path, **said: object) -> None:
    """A bundle of which only the card matters."""
    bundle = folder / "models/bundle"
    bundle.mkdir(parents=True, exist_ok=True)
    (bundle / "model.keras").touch()
    write_json(bundle / "card.json", "bundle", {"classes": ClassTable.find("road").content, **said})


def known_here() -> dict[str, object]:
    tensorflow = {"backend": "tensorflow", "backend_version": version("tensorflow-cpu")}
    return tensorflow | {"keras": version("keras"), "instruction_set": "avx2", "precision": "float32", "threads": 2}


def test_a_model_of_this_machine_is_told_and_nothing_is_wrong(
    checkout: Path, examined: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examined()[0]["model"] == Finding("tree", "model", "none")
    monkeypatch.setattr(model, "instruction_set", lambda _: "avx2")
    card(checkout, **known_here())
    found = examined()[0]["model"]
    assert found.problem == ""
    assert found.found == f"trained with keras {version('keras')} on tensorflow {version('tensorflow-cpu')}, avx2"


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ({"keras": "3.0.0"}, f"keras {version('keras')}"),
        ({"backend_version": "2.0.0"}, f"tensorflow {version('tensorflow-cpu')}"),
        ({"backend": "jax"}, f"tensorflow {version('tensorflow-cpu')}"),
        ({"instruction_set": "avx512_core_amx"}, "avx2"),
    ],
)
def test_an_upgrade_or_another_processor_is_named_with_what_it_does_and_does_not(
    checkout: Path, examined: Ask, monkeypatch: pytest.MonkeyPatch, said: dict[str, object], here: str
) -> None:
    monkeypatch.setattr(model, "instruction_set", lambda _: "avx2")
    card(checkout, **known_here() | said)
    found, code = examined()
    assert found["model"].problem.startswith(f"here {here}: an upgrade reruns nothing; `dvc repro -f -s train`")
    assert code == 0


def test_jax_is_compared_with_its_library(checkout: Path, examined: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(model, "instruction_set", lambda _: "avx2")
    both = f"{version('jax')} with jaxlib {version('jaxlib')}"
    card(checkout, **known_here() | {"backend": "jax", "backend_version": both})
    assert examined()[0]["model"].problem == ""


def test_a_model_of_before_is_told_as_such(checkout: Path, examined: Ask) -> None:
    card(checkout)
    assert examined()[0]["model"] == Finding("tree", "model", "trained before bundles said with what")
    (checkout / "models/bundle/card.json").write_text("{}")
    found, code = examined()
    assert "has schema None" in found["model"].problem
    assert code == 0


def test_links_that_share_the_cache_s_file_are_warned_of(checkout: Path, examined: Ask) -> None:
    (checkout / ".dvc/config.local").write_text("[cache]\n    type = hardlink,copy\n")
    found, code = examined()
    assert found["cache"].found.startswith("hardlink")
    assert "would overwrite the cache" in found["cache"].problem
    assert code == 0


def test_a_machine_without_git_and_chromium_is_told_and_no_traceback(
    examined: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found, code = examined()
    assert code == 2
    assert found["git"].stops
    assert "apt-get install git" in found["git"].problem
    assert "apt-get install chromium" in found["chromium"].problem
    assert not found["chromium"].stops


def test_another_user_s_repository_is_to_be_trusted_not_made_anew(
    examined: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found, _ = examined()
    assert "safe.directory" in found["git"].problem
    assert "git init" not in found["git"].problem


def test_a_path_in_which_mlflow_cannot_start_is_named(examined: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/a 50% place/.venv")
    found, _ = examined()
    assert found["python"].stops
    assert "move the checkout" in found["python"].problem


def test_link_types_are_really_tried_and_nothing_is_left(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"hardlink", "symlink", "copy"} <= set(tree.links(checkout / ".dvc", checkout))
    monkeypatch.setattr(os, "link", _no_reflink)
    assert "hardlink" not in tree.links(checkout / ".dvc", checkout)
    assert not list(checkout.rglob(".doctor-*"))
    assert tree.links(checkout / "absent", checkout) == []


def test_a_cache_elsewhere_is_found(checkout: Path) -> None:
    assert tree.cache_settings(checkout) == (checkout / ".dvc/cache", ["reflink", "copy"])
    (checkout / ".dvc/config.local").write_text("[cache]\n    dir = ../../shared\n")
    assert tree.cache_settings(checkout)[0].resolve() == (checkout.parent / "shared").resolve()


def test_a_stage_at_work_is_named(checkout: Path, examined: Ask) -> None:
    (checkout / ".dvc/tmp").mkdir()
    entry = {"write": {"pid": os.getpid(), "cmd": "dvc repro"}, "read": [{"pid": 2**22 + 1, "cmd": "gone"}]}
    (checkout / ".dvc/tmp/rwlock").write_text(json.dumps({"models/bundle": entry}))
    found, _ = examined()
    assert f"process {os.getpid()} (dvc repro)" in found["dvc"].found
    assert "gone" not in found["dvc"].found
    assert "a second `dvc repro` is refused" in found["dvc"].problem


@pytest.fixture
def taken(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port of MLflow's that this process listens at."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        monkeypatch.setenv("MLFLOW_PORT", str(port))
        yield port


def test_who_holds_a_port_is_named(taken: int, examined: Ask) -> None:
    assert f"process {os.getpid()}" in str(listener(taken))
    found, code = examined()
    assert f"{taken} is taken by process {os.getpid()}" in found["mlflow's port"].found
    assert "MLFLOW_PORT=..." in found["mlflow's port"].problem
    assert code == 0  # `dvc repro` needs no port


def test_an_address_that_does_not_answer_is_said_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    found = next(services())
    assert "127.0.0.1:9 does not answer" in found.problem
    assert "secret" not in found.found + found.problem
    assert found.problem
    assert not found.stops


def test_a_gpu_without_its_lock_is_said(examined: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: [("Some Card", 80 << 30, "9.0")])
    found, code = examined()
    assert found["gpu"].found == "Some Card, 80.0 GiB, capability 9.0"
    assert found["lock"].found == "gpu (installed: cpu)"
    assert "make setup LOCK=gpu" in found["lock"].problem
    assert code == 0


def test_the_processor_is_read_with_what_makes_it_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Fast One\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name\t: Fast One\nflags\t: fpu\n")
    monkeypatch.setattr(machine, "CPU_INFO", info)
    assert machine.processor() == ("Fast One", {"fpu", "avx2", "amx_bf16"})
    assert next(machine.machine()).found == "Fast One (AVX2, AMX)"


def test_more_threads_than_cores_are_said() -> None:
    found = {finding.name: finding for finding in machine.choices(10_000)}
    assert "lower train.threads" in found["threads"].problem
    assert not {finding.name: finding for finding in machine.choices(1)}["threads"].problem


def test_the_backend_is_asked_only_where_that_is_wanted(checkout: Path) -> None:
    code = (
        "import sys; sys.argv = ['roadseg', 'doctor', '--json']; from roadseg.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print('LOADED', [name for name in ('tensorflow', 'keras', 'jax', 'mlflow', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert "cpu" in machine.devices().found.lower()

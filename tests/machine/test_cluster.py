import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from clusters import Dask
from trees import ROOT

from roadseg.contracts.errors import UsageError
from roadseg.machine import cluster
from roadseg.machine.workers import pool


@pytest.fixture
def dask(background: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dask:
    begun = Dask.begin(background, tmp_path / "dask")  # type: ignore[arg-type]
    monkeypatch.setenv("ROADSEG_DASK", begun.address)
    return begun


def test_a_cluster_s_results_come_in_order_and_a_worker_s_error_is_raised_here(dask: Dask) -> None:
    worker = dask.worker()
    with pool() as executor:
        assert list(executor.map(abs, [-1, 2, -3], chunksize=2)) == [1, 2, 3]
        assert executor.submit(os.getpid).result() == worker.pid
        with pytest.raises(TypeError, match="bad operand"):
            list(executor.map(abs, ["no number"]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "nonsense://localhost:1"])
def test_without_a_scheduler_the_address_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_DASK", address)
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with pytest.raises(UsageError, match=rf"{address}: no scheduler answers .* unset ROADSEG_DASK"), pool():
        pass


@pytest.mark.parametrize(
    "address", ["tcp://10.1.2.3:8786", "scheduler:8786", "tcp://[fd00::1]:8786", "ucx://far:1", ""]
)
def test_an_address_that_others_reach_is_refused_without_tls(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []
    monkeypatch.setattr(cluster, "Client", lambda address, **_: connected.append(address))
    with pytest.raises(UsageError, match=r"give tls://.* or ROADSEG_DASK_OPEN=yes"), cluster.cluster(address):
        pass
    assert connected == []


@pytest.mark.parametrize(
    ("address", "said"), [("tls://10.1.2.3:8786", ""), ("tcp://10.1.2.3:8786", "yes"), ("tcp://[::1]:8786", "")]
)
def test_tls_loopback_and_a_word_let_it_connect(address: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreached(address: str, **_: object) -> None:
        raise OSError(f"asked for {address}")

    monkeypatch.setenv("ROADSEG_DASK_OPEN", said)
    monkeypatch.setattr(cluster, "Client", unreached)
    with pytest.raises(UsageError, match="no scheduler answers"), cluster.cluster(address):
        pass


def test_without_a_worker_it_says_so(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "WORKERS_PATIENCE", 0.2)
    with pytest.raises(UsageError, match="has no worker"), pool():
        pass


def test_a_worker_that_does_not_see_the_files_is_named(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    dask.worker()
    blind = lambda folders: ("", folders[:1])  # noqa: E731  (it travels by value)
    monkeypatch.setattr(cluster, "worker_state", blind)
    with pytest.raises(UsageError, match=rf"worker tcp://.* does not see {Path.cwd()}: mount it there"), pool():
        pass


def test_a_worker_with_other_code_is_named(dask: Dask, tmp_path: Path) -> None:
    code = Path(shutil.copytree(ROOT / "src/roadseg", tmp_path / "old/roadseg"))
    with (code / "imaging/pixels.py").open("a") as opened:
        opened.write("# older\n")
    dask.worker(PYTHONPATH=str(code.parent))
    with pytest.raises(UsageError, match=r"worker tcp://.* runs other code"), pool():
        pass

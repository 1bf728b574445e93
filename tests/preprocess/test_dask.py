import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clusters import Dask
from distributed import Client
from trees import shard_digests

from roadseg.preprocess import stage
from roadseg.preprocess.stage import PreprocessParams, run

PARAMS = PreprocessParams(height=320, width=640, aspect="pad", tile=2)


def test_on_a_cluster_that_loses_a_worker_the_shards_equal_those_of_a_local_run(
    background: Callable[..., Any],
    tmp_path: Path,
    make_tree: Callable[..., Path],
    rows: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [row | {"drive": str(number)} for number, row in enumerate(rows)]  # a task for each
    local, tree, home = make_tree(tmp_path / "one", rows), make_tree(tmp_path / "two", rows), tmp_path / "shared"
    monkeypatch.chdir(local)
    run(preprocess=PARAMS)

    dask = Dask.begin(background, tmp_path / "dask")
    workers = [dask.worker(), dask.worker()]
    monkeypatch.chdir(tree)
    monkeypatch.setenv("ROADSEG_HOME", str(home))
    monkeypatch.setenv("ROADSEG_DASK", dask.address)
    monkeypatch.setattr(stage, "KEPT_AT_ONCE", 4)  # so that entries are seen long before the end
    left = []

    def kill_one(client: Client, address: str) -> None:
        while not (list(home.glob("reuse/shards/*/entry.json")) and client.processing()[address]):
            time.sleep(0.005)
        left.append(len(rows) - len(list(home.glob("reuse/shards/*/entry.json"))))
        workers[0].send_signal(signal.SIGKILL)

    dask.wait_for(2)
    with Client(dask.address, set_as_default=False) as client:  # now: on a busy machine the run would end before it
        [address] = [address for address, pid in client.run(os.getpid).items() if pid == workers[0].pid]
        killer = threading.Thread(target=kill_one, args=(client, address), daemon=True)
        killer.start()
        run(preprocess=PARAMS)
        killer.join(10)
    assert workers[0].wait(10) == -signal.SIGKILL
    assert left[0] > 3  # it died while it was at work, and there was more
    assert shard_digests(tree) == shard_digests(local)

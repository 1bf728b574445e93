"""Two checkouts on one machine and one Prefect server: each works in its own tree, with its own home."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from servers import ask, free_port
from trees import run

UP, DOWN = (["python", "-m", "flows.services", word] for word in ("up", "down"))


class Checkout(NamedTuple):
    """Where services are up, with which environment, and the line that `up` gives to run now."""

    tree: Path
    env: dict[str, str]
    run_now: str


def start(tree: Path, **env: str) -> Checkout:
    env["MLFLOW_PORT"] = str(free_port())
    said = run(tree, *UP, **env).stdout
    return Checkout(tree, env, re.findall(r"^run now  (.*)$", said, re.MULTILINE)[0])


@pytest.fixture
def neighbours(
    finished: Path, with_stores: Callable[[Path], Path], tmp_path: Path
) -> Iterator[tuple[str, list[Checkout]]]:
    """The address of Prefect's API, the checkout that serves it and another that shares it, of one name."""
    trees = [with_stores(Path(shutil.copytree(finished, tmp_path / at / "road", symlinks=True))) for at in ("a", "b")]
    port = str(free_port())
    api, up = f"http://127.0.0.1:{port}/api", []
    try:
        up.append(start(trees[0], PREFECT_PORT=port))
        up.append(start(trees[1], PREFECT_API_URL=api))
        yield api, up
    finally:
        for one in reversed(up):
            run(one.tree, *DOWN, check=False, **one.env)


def ended(api: str, number: str) -> dict[str, Any]:
    """A run as it ended."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found: dict[str, Any] = ask(f"{api}/flow_runs/{number}")
        if found["state"]["type"] in {"COMPLETED", "FAILED", "CRASHED"}:
            return found
        time.sleep(1)
    raise AssertionError(f"run {number} never ended")


@pytest.mark.soak
def test_a_run_works_in_the_tree_it_was_asked_of_with_its_home(
    neighbours: tuple[str, list[Checkout]], tmp_path: Path
) -> None:
    api, checkouts = neighbours
    asked = [(mine, other) for mine, other in (checkouts, checkouts[::-1]) for _ in range(2)]  # a free worker may err
    said = [run(tmp_path, "sh", "-c", mine.run_now).stdout for mine, _ in asked]  # from a third place
    pools = set()
    for (mine, other), line in zip(asked, said, strict=True):
        number = re.findall(r"UUID: (\S+)", line)[0]
        found = ended(api, number)
        pools.add((mine.tree, found["work_pool_name"]))
        log = [each["message"] for each in ask(f"{api}/logs/filter", {"logs": {"flow_run_id": {"any_": [number]}}})]
        assert found["state"]["type"] == "COMPLETED", log
        home = mine.tree / ".roadseg"
        worked = [line for line in log if line.startswith(f"workspace {home / 'workspace'} at ")]
        assert worked or found["state"]["name"] == "Skipped"  # the second of the two
        assert all(line.endswith(f", home {home}") for line in worked)
        assert not [line for line in log if str(other.tree) in line]
        assert number not in (other.tree / ".roadseg/services/worker.log").read_text()
    assert len({name for _, name in pools}) == len(pools) == 2
    for each in checkouts:
        assert run(each.tree, "roadseg", "models", "list").stdout.count("champion") == 1

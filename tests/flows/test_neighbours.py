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


def new_run(api: str, before: set[str]) -> dict[str, Any]:
    """The run that was asked for after those before, as it ended."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        runs = ask(f"{api}/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED"]}}}})
        if fresh := [each for each in runs if each["id"] not in before]:
            found: dict[str, Any] = fresh[0]
            return found
        time.sleep(1)
    raise AssertionError("the run never ended")


@pytest.mark.soak
def test_a_run_works_in_the_tree_it_was_asked_of_with_its_home(
    neighbours: tuple[str, list[Checkout]], tmp_path: Path
) -> None:
    api, checkouts = neighbours
    known: set[str] = set()
    for mine, other in (checkouts, checkouts[::-1]):
        before = (other.tree / ".roadseg/services/worker.log").read_text()
        run(tmp_path, "sh", "-c", mine.run_now)  # asked from a third place
        ended = new_run(api, known)
        known.add(ended["id"])
        log = ask(f"{api}/logs/filter", {"logs": {"flow_run_id": {"any_": [ended["id"]]}}})
        said = [entry["message"] for entry in log]
        assert ended["state"]["type"] == "COMPLETED", said
        assert f"tree {mine.tree}, home {mine.tree / '.roadseg'}" in said
        assert not [line for line in said if str(other.tree) in line]
        listed = [run(each.tree, "roadseg", "models", "list").stdout for each in checkouts]
        assert ["no version is registered" in each for each in listed] == [False, len(known) == 1]
        assert ended["id"] not in (other.tree / ".roadseg/services/worker.log").read_text().removeprefix(before)

import re
import sys
from pathlib import Path

import pytest
from trees import command_of, hostile, make_checkout, run, working_in


@pytest.mark.soak
def test_the_demo_comes_through_on_a_machine_as_people_have_them(tmp_path: Path) -> None:
    """In a path with a space, behind a dead proxy and with a profile of a dead Prefect; `make setup` came before."""
    tree = make_checkout(tmp_path / "a way down/road seg")
    (tree / ".venv").symlink_to(sys.prefix)
    environment = {"ROADSEG_PAGES": "on", **hostile(tmp_path)}
    done = run(tree, "make", "--old-file=setup", "demo", **environment)
    assert re.search(r"^gate: .*first model", done.stdout, re.MULTILINE), done.stdout
    assert "model: version 1 of roadseg" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    for page in ("data", "model"):
        assert f"page: reports/{page}.html" in done.stdout + done.stderr
        assert (tree / f"reports/{page}.html").stat().st_size
    assert (tree / ".roadseg/demo/mlflow/mlflow.db").is_file()
    assert [command_of(process) for process in working_in(tree)] == []
    again = run(tree, "make", "--old-file=setup", "demo", **environment)
    assert "model: version 1 of roadseg" in again.stdout
    assert not re.search(r"epoch \d", again.stdout + again.stderr)


def test_the_demo_touches_no_data_that_it_did_not_make(checkout: Path) -> None:
    before = {path: path.read_bytes() for path in (checkout / "data").rglob("*") if path.is_file()}
    refused = run(checkout, "python", "-m", "flows.demo", check=False)
    assert refused.returncode == 2
    assert "was not made by the demo" in refused.stderr
    assert {path: path.read_bytes() for path in (checkout / "data").rglob("*") if path.is_file()} == before

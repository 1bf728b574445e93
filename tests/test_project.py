"""What holds for the project as a whole."""

import ast
import re
import subprocess
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import ROOT

from roadseg.contracts import paths
from roadseg.pipeline.graph import read_graph

TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")[:-1]
SOURCES = [name for name in TRACKED if re.match(r"(src|flows)/.*\.py$", name) and (ROOT / name).exists()]
TREES = {name: ast.parse((ROOT / name).read_text()) for name in SOURCES}
PROTOCOLS = {  # names that several modules share, since whoever calls them calls any of them
    "run": "of the stages",
    "main": "of what is run as `python -m`",
    "find": "of the layouts",
    "matches": "of the layouts",
    "build": "of the models",
    **dict.fromkeys(("publish", "register", "promote"), "the verb, the flow's task, and what both call"),
    **dict.fromkeys(("predict", "reproduce", "rollback"), "the verb and the deployment"),
    **dict.fromkeys(("quarantine", "restore"), "the verb, and what it calls"),
    "ingest": "the verb, and the flow that does the same for the data branch",
}


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    first_screen = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first_screen
    promised = re.findall(r"^make \w+", first_screen[1], re.MULTILINE)
    assert promised == ["make demo", "make test"]
    assert re.findall(r"^make \w+", (ROOT / ".ci/run").read_text(), re.MULTILINE) == promised


def test_the_user_s_files_are_neither_in_the_project_nor_ignored() -> None:
    theirs = ["data/raw.dvc", "data/classes.yaml", "data/reference.json", "data/quarantine.csv", "data/splits.csv"]
    theirs += ["dvc.lock"]
    theirs += ["metrics.json", "reports/verdict.json"]
    assert not set(theirs) & set(TRACKED)
    assert subprocess.run(["git", "check-ignore", *theirs], cwd=ROOT, capture_output=True).returncode == 1


def test_every_dependency_is_locked_with_a_hash_and_no_registry_is_named() -> None:
    lock = (ROOT / "requirements/dev.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.match(r"[a-z0-9-]+", need)[0] for need in wanted["dependencies"]]  # type: ignore[index]
    assert set(named) <= set(pinned)
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock


@pytest.mark.parametrize("name", [name for name in TRACKED if name.endswith(".py")])
def test_no_file_is_longer_than_300_lines(name: str) -> None:
    if (ROOT / name).exists():
        assert len((ROOT / name).read_text().splitlines()) <= 300


def test_package_init_files_stay_empty() -> None:
    for name in TRACKED:
        if name.endswith("__init__.py") and name.startswith("src/"):
            assert (ROOT / name).read_text() == "", name


def test_every_path_of_the_graph_stands_in_one_place() -> None:
    known = {str(path) for path in vars(paths).values() if isinstance(path, Path)}
    graph = {path for stage in read_graph(ROOT) for path in (*stage.data, *stage.outs)}
    assert graph <= known
    parts = tuple(f"{path}/" for path in known)
    found = [
        f"{name}:{node.lineno}: {node.value}"
        for name, tree in TREES.items()
        if not name.endswith("contracts/paths.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        if node.value in known or (node.value.startswith(parts) and " " not in node.value)  # else it is prose
    ]
    assert not found, "take them from contracts/paths.py"


def test_no_two_public_functions_of_one_name_do_different_things() -> None:
    places = defaultdict(list)
    for name, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice.keys() == PROTOCOLS.keys(), {name: where for name, where in twice.items() if name not in PROTOCOLS}


def test_functions_are_short_and_take_few_arguments() -> None:
    found = [
        f"{name}:{function.lineno}: {function.name} has {lines} lines and {taken} arguments"
        for name in SOURCES
        for function, lines, taken, excused in functions(name)
        if (lines > 50 or taken > 8) and not excused
    ]
    assert not found, "shorten them, or say behind `def` why not"


def functions(name: str) -> Iterator[tuple[ast.FunctionDef, int, int, bool]]:
    """Every function of a file, its lines from `def` to its end, its arguments, and whether a comment excuses it."""
    source = (ROOT / name).read_text().splitlines()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            own = [argument for argument in taken if argument.arg not in ("self", "cls")]
            yield node, lines, len(own), "  # " in source[node.lineno - 1]

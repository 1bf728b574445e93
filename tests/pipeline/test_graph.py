"""dvc.yaml is written by hand, so tests hold it to the code."""

import importlib
import inspect
import shutil
from pathlib import Path

import grimp
import pytest
import yaml
from trees import ROOT, change_params, run

from roadseg.contracts.errors import UsageError
from roadseg.contracts.params import Section
from roadseg.pipeline.graph import read_graph, sources, why, why_all
from roadseg.pipeline.runner import SECTIONS, STAGES

GRAPH = {stage.name: stage for stage in read_graph(ROOT)}
BLOCKS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
UNCACHED = {"metrics.json", "reports/verdict.json"}
NO_RESULT = {"machine"}  # changes no byte of a result (tests/machine/test_results.py), so an edit reruns nothing
MODULES = grimp.build_graph("roadseg")


def test_the_order_follows_from_the_files() -> None:
    assert list(GRAPH) == ["scan", "validate", "preprocess", "train", "evaluate"] == list(STAGES)


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_reads_and_writes_what_dvc_is_told(name: str) -> None:
    module = importlib.import_module(f"roadseg.{name}.stage")
    assert {str(path) for path in module.READS} == set(GRAPH[name].data)
    assert {str(path) for path in module.WRITES} == set(GRAPH[name].outs)


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_depends_on_the_packages_it_imports_and_no_others(name: str) -> None:
    packages = {module.split(".")[1] for module in reached(name) if module != "roadseg"}
    assert packages - NO_RESULT == set(GRAPH[name].packages)


def test_every_file_of_a_stage_s_code_is_reached_by_a_stage() -> None:
    packages = {package for stage in GRAPH.values() for package in stage.packages}
    code = {module for module in MODULES.modules if module.split(".")[1:2] and module.split(".")[1] in packages}
    files = {module for module in code if not MODULES.find_children(module)}
    strangers = files.difference(*(reached(name) for name in GRAPH))
    assert not strangers, f"{strangers}: this file is reached by no stage, and an edit of it reruns some: move it"


def reached(name: str) -> set[str]:
    """Modules that a stage imports, directly or not, and itself."""
    return MODULES.find_upstream_modules(f"roadseg.{name}.stage") | {f"roadseg.{name}.stage"}


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_takes_its_own_section_of_the_parameters(name: str) -> None:
    section = SECTIONS[name]
    signature = inspect.signature(STAGES[name].run).parameters
    assert list(signature) == list(GRAPH[name].params) == [name]
    assert signature[name].annotation is section
    assert issubclass(section, Section)


def test_parameters_have_no_defaults_and_are_described() -> None:
    for section in SECTIONS.values():
        for key, field in section.model_fields.items():
            assert field.is_required(), key
            assert field.description, key


@pytest.mark.parametrize("name", GRAPH)
def test_no_shell_stays_between_dvc_and_a_stage_and_its_own_code_runs(name: str) -> None:
    assert GRAPH[name].command == f"exec env PYTHONPATH=src python -m roadseg {name}"


def test_the_run_cache_stays_on_for_every_stage() -> None:
    for block in BLOCKS.values():
        for kind in ("outs", "metrics", "plots"):
            for out in block.get(kind, []):
                path, settings = next(iter(out.items())) if isinstance(out, dict) else (out, {})
                assert "persist" not in settings, path
                assert settings.get("cache", True) or (kind == "metrics" and path in UNCACHED), path


def test_every_package_of_a_stage_exists() -> None:
    for stage in GRAPH.values():
        for package in stage.packages:
            assert (ROOT / "src/roadseg" / package).is_dir()


def test_a_folder_without_a_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"dvc.yaml is missing"):
        read_graph(tmp_path)


def test_what_changed_is_said_by_name(finished_checkout: Path) -> None:
    tree = finished_checkout
    assert sources(tree) == ["data/raw.dvc"]
    assert why(tree, "train") == []
    (tree / "params.yaml").write_text((tree / "params.yaml").read_text().replace("seed: 0", "seed: 1"))
    with (tree / "src/roadseg/train/run/loop.py").open("a") as code:
        code.write("# changed\n")
    assert set(why(tree, "train")) == {"train.seed modified", "src/roadseg/train modified"}


def test_all_that_changed_is_said_at_once(finished_checkout: Path) -> None:
    tree = finished_checkout
    assert why_all(tree) == {}
    change_params(tree, {"train": {"seed": 1}})
    image = next((tree / "data/raw/leftImg8bit/train").rglob("*.jpg"))
    image.write_bytes(image.read_bytes() + b"\0")
    lock = yaml.safe_load((tree / "dvc.lock").read_text())
    del lock["stages"]["validate"]
    (tree / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert why_all(tree) == {
        "data/raw.dvc": ["data/raw modified"],
        "scan": ["data/raw modified"],
        "validate": ["dvc.lock does not know it yet"],
        "preprocess": ["data/raw modified"],
        "train": ["train.seed modified"],
        "evaluate": ["data/raw modified"],
    }


def test_two_checkouts_run_their_own_code(imported: Path, tmp_path: Path) -> None:
    ours, theirs = (shutil.copytree(imported, tmp_path / name, symlinks=True) for name in ("ours", "theirs"))
    code = theirs / "src/roadseg/scan/statistics.py"
    code.write_text(code.read_text().replace("grey.mean() / 255", "grey.mean() / 510"))
    for tree in (ours, theirs):
        run(tree, "dvc", "repro", "-q", "scan")
    assert (ours / "data/scan.parquet").read_bytes() != (theirs / "data/scan.parquet").read_bytes()

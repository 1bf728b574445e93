"""The stage graph as dvc.yaml has it: stages, order, sources, and why a stage would run."""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.dvc import dvc_json

UNKNOWN = "dvc.lock does not know it yet"  # why a stage runs that never did


@dataclass(frozen=True)
class Stage:
    """One block of dvc.yaml; paths are POSIX and relative to it."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of the packages of roadseg whose code it depends on."""
        prefix = "src/roadseg/"
        return tuple(dep.removeprefix(prefix) for dep in self.deps if dep.startswith(prefix))

    @property
    def data(self) -> tuple[str, ...]:
        """What it reads that is not code."""
        return tuple(dep for dep in self.deps if not dep.startswith("src/"))


def read_graph(tree: Path) -> list[Stage]:
    """Every stage of `tree/dvc.yaml`, each after those whose outs it reads.

    Raises:
        UsageError: there is no dvc.yaml.
    """
    path = tree / paths.GRAPH
    if not path.exists():
        raise UsageError(f"{path} is missing: run from the folder that holds dvc.yaml")
    blocks = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    stages = {name: _stage(name, block) for name, block in blocks.items()}
    makers = {out: stage.name for stage in stages.values() for out in stage.outs}
    order = TopologicalSorter(
        {stage.name: [makers[dep] for dep in stage.deps if dep in makers] for stage in stages.values()}
    )
    return [stages[name] for name in order.static_order()]


def sources(tree: Path) -> list[str]:
    """The `.dvc` files of what stages read and no stage makes."""
    deps = dict.fromkeys(f"{dep}.dvc" for stage in read_graph(tree) for dep in stage.data)
    return [path for path in deps if (tree / path).exists()]


def why(tree: Path, stage: str) -> list[str]:
    """What changed since the stage last ran: `train.epochs modified`, `src/roadseg/train modified`."""
    lock = _locked(tree)
    if stage not in lock:
        return [UNKNOWN]
    return list(_reasons(tree, lock[stage], dvc_json(tree, "status", stage).get(stage, [])))


def why_all(tree: Path, status: dict[str, Any] | None = None) -> dict[str, list[str]]:
    """The same for every stage and data source (`data/raw.dvc`) in which something changed, before any of them runs.

    Asked once, since each question costs seconds, and many more where the data are many files.

    Args:
        tree: the folder that holds dvc.yaml.
        status: what `dvc status --json` said, where it has been asked.
    """
    lock = _locked(tree)
    if status is None:
        status = dvc_json(tree, "status")
    new = {stage.name: [UNKNOWN] for stage in read_graph(tree) if stage.name not in lock}
    return {name: list(_reasons(tree, lock.get(name, {}), entries)) for name, entries in status.items()} | new


def _locked(tree: Path) -> dict[str, Any]:
    lock = tree / paths.LOCK
    return dict(yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]) if lock.exists() else {}


def _reasons(tree: Path, locked: dict[str, Any], entries: list[Any]) -> Iterable[str]:
    for entry in entries:
        if not isinstance(entry, dict):
            yield str(entry)  # such as "changed command"
            continue
        for changes in entry.values():
            params = changes.pop(str(paths.PARAMS), {})
            yield from (f"{path} {change}" for path, change in changes.items())
            yield from _changed_keys(tree, locked, params)


def _changed_keys(tree: Path, locked: dict[str, Any], sections: dict[str, str] | str) -> Iterable[str]:
    """DVC names the section that changed; people want the key."""
    if isinstance(sections, str):
        yield f"params.yaml {sections}"
        return
    before = locked.get("params", {}).get(str(paths.PARAMS), {})
    now = yaml.safe_load((tree / paths.PARAMS).read_text(encoding="utf-8"))
    for section in sections:
        old, new = before.get(section, {}), now.get(section, {})
        yield from (
            f"{section}.{key} modified" for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)
        )


def _stage(name: str, block: dict[str, Any]) -> Stage:
    outs = [_path(out) for kind in ("outs", "metrics", "plots") for out in block.get(kind, [])]
    return Stage(name, block["cmd"], tuple(block["deps"]), tuple(outs), tuple(block.get("params", [])))


def _path(out: Any) -> str:
    return str(next(iter(out))) if isinstance(out, dict) else str(out)

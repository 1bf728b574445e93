"""What differs between a tree and the commit that a run left: data, parameters, code, and versions of packages."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from roadseg.contracts import paths
from roadseg.pipeline.dvc import cache_folder
from roadseg.pipeline.graph import read_graph
from roadseg.workspace.commits import state_of
from roadseg.workspace.data import Drives, compare_drives, listing, raw_md5
from roadseg.workspace.data_branch import DATA_FILES
from roadseg.workspace.plumbing import maybe, must
from roadseg.workspace.records import RunRecord, present_versions

CODE = (".py", ".csv")


def compare_data(tree: Path, before: RunRecord) -> tuple[Drives, tuple[str, ...]]:
    """Compare the data of a tree with those of a run.

    Returns:
        Drives that differ, and the other files that decide the data and differ; data/raw.dvc is one of them where
        the cache does not know what is in one of the two versions.
    """
    was = state_of(tree, before.commit, DATA_FILES)
    now = [must(tree, "hash-object", "--", str(path)) if (tree / path).exists() else None for path in DATA_FILES]
    pairs = zip(DATA_FILES, was, now, strict=True)
    others = tuple(str(path) for path, old, new in pairs if old != new and path != paths.RAW_DVC)
    committed = maybe(tree, "show", f"{before.commit}:./{paths.RAW_DVC}")
    old_md5, new_md5 = before.data or raw_md5(committed), raw_md5(text_of(tree / paths.RAW_DVC))
    if old_md5 == new_md5:
        return Drives(), others
    cache = cache_folder(tree)
    old_files, new_files = listing(cache, old_md5), listing(cache, new_md5)
    if old_files is None or new_files is None:
        return Drives(), (str(paths.RAW_DVC), *others)
    return compare_drives(old_files, new_files), others


def changed_code(tree: Path, ends: list[str]) -> Iterator[str]:
    """Files that stages depend on and that changed, dvc.yaml among them; new ones that git does not know too."""
    folders = sorted({dep for stage in read_graph(tree) for dep in stage.deps if dep.startswith("src/")})
    names = must(tree, "diff", "--name-only", "--relative", "--no-renames", *ends, "--", str(paths.GRAPH), *folders)
    new = must(tree, "ls-files", "--others", "--exclude-standard", "--", *folders)
    for name in sorted({*names.splitlines(), *new.splitlines()}):
        if name == str(paths.GRAPH) or name.endswith(CODE):
            yield name


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Keys of sections whose values differ, `train.epochs 16 -> 24`, sorted."""
    for section in sorted(old.keys() | new.keys()):
        before, now = old.get(section) or {}, new.get(section) or {}
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                yield f"{section}.{key} {before.get(key, 'absent')} -> {now.get(key, 'absent')}"


def compare_versions(before: Mapping[str, str]) -> tuple[str, ...]:
    """Packages that are installed in another version than the one given, `numpy 2.4.1 -> 2.4.2`."""
    now = present_versions()
    names = sorted(name for name in before if before[name] != now.get(name))
    return tuple(f"{name} {before[name]} -> {now.get(name, 'absent')}" for name in names)


def sections_of(text: str) -> dict[str, Any]:
    """Sections of the text of a params.yaml; none where it is no YAML, since a commit may hold anything."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    sections = content.items() if isinstance(content, dict) else ()
    return {key: value for key, value in sections if isinstance(value, dict)}


def text_of(path: Path) -> str:
    """What is in a file; nothing where it is not there."""
    return path.read_text(encoding="utf-8") if path.exists() else ""

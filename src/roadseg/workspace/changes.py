"""What changed since the last run that came to a decision, found before anything is brought or run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from roadseg.contracts import paths
from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import digest_file
from roadseg.pipeline.dvc import cache_folder, dvc
from roadseg.pipeline.graph import read_graph
from roadseg.workspace.commits import state_of
from roadseg.workspace.data import Drives, compare_drives, listing, raw_md5
from roadseg.workspace.data_branch import DATA_FILES, current_data
from roadseg.workspace.plumbing import commit_of, maybe, must
from roadseg.workspace.records import RunRecord, present_versions
from roadseg.workspace.results import Overrides, set_overrides
from roadseg.workspace.tree import lay_data_files, look

POLICY = "promote"  # the section of params.yaml that no stage reads
UP_TO_DATE = "Data and pipelines are up to date."
CODE = (".py", ".csv")


@dataclass(frozen=True)
class Changes:
    """What changed since a run, each as people read it, sorted.

    Attributes:
        first: there is no run to compare with.
        drives_added, drives_changed, drives_removed: names as `train/12`.
        data_files: other files that decide the data: data/quarantine.csv, data/classes.yaml.
        params: of the stages: `train.epochs 16 -> 24`.
        code: files that stages depend on.
        other: why all must be looked at again, where none of these says it.
        policy: of the gate, as `params`: it alone reruns nothing and asks the gate again.
        versions: of packages, `numpy 2.4.1 -> 2.4.2`: they alone rerun nothing.
        again: whether that run held for evidence that was missing, so that the gate is asked again.
        before: name of that run.
    """

    first: bool = False
    drives_added: tuple[str, ...] = ()
    drives_changed: tuple[str, ...] = ()
    drives_removed: tuple[str, ...] = ()
    data_files: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    again: bool = False
    before: str = ""

    @property
    def reruns(self) -> bool:
        """Whether stages must run or be restored."""
        drives = (*self.drives_added, *self.drives_changed, *self.drives_removed)
        return bool(self.first or drives or self.data_files or self.params or self.code or self.other)

    @property
    def asks_gate(self) -> bool:
        """Whether the gate may answer otherwise than it did."""
        return self.reruns or bool(self.policy) or self.again

    def sentence(self) -> str:
        """All of it in a line: `3 drives added, train.epochs 16 -> 24, 2 files of code changed`."""
        if self.first:
            return "there is no finished run to compare with"
        parts = [
            *_counted(self.drives_added, "drive added", "drives added"),
            *_counted(self.drives_changed, "drive changed", "drives changed"),
            *_counted(self.drives_removed, "drive removed", "drives removed"),
            *(f"{name} changed" for name in self.data_files),
            *self.params[:3],
            *_counted(self.params[3:], "more parameter changed", "more parameters changed"),
            *_counted(self.code, "file of code changed", "files of code changed"),
            *self.other,
            *self.policy[:3],
            *_counted(self.policy[3:], "more rule of the policy changed", "more rules of the policy changed"),
            *(["the gate lacked evidence and is asked again"] if self.again else []),
        ]
        return ", ".join(parts) or f"nothing changed since {self.before or 'the last run'}"

    def lines(self) -> list[str]:
        """Every change, a line each."""
        kinds = {
            "drive added": self.drives_added,
            "drive changed": self.drives_changed,
            "drive removed": self.drives_removed,
            "data": self.data_files,
            "parameter": self.params,
            "code": self.code,
            "": self.other,
            "policy": self.policy,
            "version (reruns nothing)": self.versions,
        }
        found = [f"{kind}: {one}" if kind else one for kind, many in kinds.items() for one in many]
        return [self.sentence()] if self.first or not found else found


@dataclass(frozen=True)
class _Version:
    """What decides a run, on one side of a comparison."""

    raw: str
    params: Mapping[str, Any]


def find_changes(repository: Path, commit: str, overrides: Overrides, before: RunRecord | None) -> Changes:
    """Find what a run on a commit would find changed; no data are brought.

    Args:
        repository: the project folder of the person's checkout.
        commit: to run on, 40 hex; the data files are those of `data_branch.current_data`.
        overrides: of params.yaml, see `results.set_overrides`.
        before: what to compare with, see `records.last_final`.

    Raises:
        UsageError: see `data_branch.current_data` and `results.set_overrides`.
    """
    data = current_data(repository, commit)
    if before is None:
        return Changes(first=True)
    with look(repository, commit) as tree:
        lay_data_files(tree, data.commit)
        set_overrides(tree, overrides)
        return _compared(tree, before, ["--cached", before.commit])


def tree_changes(tree: Path, before: RunRecord | None) -> Changes:
    """Find what changed in a tree that somebody works in, also what no commit holds.

    Args:
        tree: the project folder of a checkout.
        before: what to compare with, see `records.last_final`.
    """
    if before is None:
        return Changes(first=True)
    lock = tree / paths.LOCK
    if before.lock and lock.exists() and digest_file(lock) == before.lock and up_to_date(tree):
        settings = _params((tree / paths.PARAMS).read_text(encoding="utf-8"))
        old = (before.decision or {}).get("policy") or settings.get(POLICY, {})
        policy = tuple(_differing({POLICY: old}, {POLICY: settings.get(POLICY, {})}))
        return Changes(policy=policy, versions=_versions(before), again=before.missing, before=before.name)
    return _compared(tree, before, [before.commit], locked=False)


def up_to_date(tree: Path) -> bool:
    """Whether DVC would run and restore nothing; where it cannot tell, it would."""
    try:
        said = dvc(tree, "repro", "--dry", "--allow-missing").strip().splitlines()
    except RoadsegError:  # changed and no data to show it with: DVC fails, and does not say why
        return False
    return bool(said) and said[-1].strip() == UP_TO_DATE


def _compared(tree: Path, before: RunRecord, ends: list[str], locked: bool = True) -> Changes:
    """Compare a tree with the commit that a run left; `ends` are what `git diff` compares."""
    known = Changes(versions=_versions(before), again=before.missing, before=before.name or before.run)
    if not before.commit or not commit_of(tree, before.commit):
        return replace(known, other=(f"no commit here holds what run {known.before} worked on",))
    old = _params(maybe(tree, "show", f"{before.commit}:./{paths.PARAMS}"))
    new = _params((tree / paths.PARAMS).read_text(encoding="utf-8"))
    policy = tuple(_differing({POLICY: old.pop(POLICY, {})}, {POLICY: new.pop(POLICY, {})}))
    drives, data_files = _data(tree, before.commit)
    params, code = tuple(_differing(old, new)), tuple(_code(tree, ends))
    other: tuple[str, ...] = ()
    if not (any((drives.added, drives.changed, drives.removed)) or data_files or params or code):
        if locked:
            lock = must(tree, "show", f"{before.commit}:./{paths.LOCK}")
            (tree / paths.LOCK).write_text(f"{lock}\n", encoding="utf-8")
        other = () if up_to_date(tree) else ("DVC finds a change that git does not know",)
    return replace(
        known,
        drives_added=drives.added,
        drives_changed=drives.changed,
        drives_removed=drives.removed,
        data_files=data_files,
        params=params,
        code=code,
        other=other,
        policy=policy,
    )


def _data(tree: Path, before: str) -> tuple[Drives, tuple[str, ...]]:
    """Drives that changed since a commit, and other files that decide the data; raw.dvc where its list is unknown."""
    was = state_of(tree, before, DATA_FILES)
    now = [must(tree, "hash-object", "--", str(path)) if (tree / path).exists() else None for path in DATA_FILES]
    changed = [path for path, old, new in zip(DATA_FILES, was, now, strict=True) if old != new]
    if paths.RAW_DVC not in changed:
        return Drives(), tuple(map(str, changed))
    texts = maybe(tree, "show", f"{before}:./{paths.RAW_DVC}"), _text(tree / paths.RAW_DVC)
    old_md5, new_md5 = map(raw_md5, texts)
    others = tuple(str(path) for path in changed if path != paths.RAW_DVC)
    if old_md5 == new_md5:
        return Drives(), others
    cache = cache_folder(tree)
    old_files, new_files = listing(cache, old_md5), listing(cache, new_md5)
    if old_files is None or new_files is None:
        return Drives(), (str(paths.RAW_DVC), *others)
    return compare_drives(old_files, new_files), others


def _code(tree: Path, ends: list[str]) -> Iterator[str]:
    """Files that stages depend on and that changed, dvc.yaml among them; new ones that git does not know too."""
    folders = sorted({dep for stage in read_graph(tree) for dep in stage.deps if dep.startswith("src/")})
    names = must(tree, "diff", "--name-only", "--relative", "--no-renames", *ends, "--", str(paths.GRAPH), *folders)
    new = must(tree, "ls-files", "--others", "--exclude-standard", "--", *folders)
    for name in sorted({*names.splitlines(), *new.splitlines()}):
        if name == str(paths.GRAPH) or name.endswith(CODE):
            yield name


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for section in sorted(old.keys() | new.keys()):
        before, now = old.get(section) or {}, new.get(section) or {}
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                yield f"{section}.{key} {before.get(key, 'absent')} -> {now.get(key, 'absent')}"


def _versions(before: RunRecord) -> tuple[str, ...]:
    now = present_versions()
    names = sorted(name for name in before.versions if before.versions[name] != now.get(name))
    return tuple(f"{name} {before.versions[name]} -> {now.get(name, 'absent')}" for name in names)


def _params(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:  # a commit may hold anything
        return {}
    return (
        {key: value for key, value in content.items() if isinstance(value, dict)} if isinstance(content, dict) else {}
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _counted(found: Iterable[str], one: str, many: str) -> list[str]:
    count = len(list(found))
    return [f"{count} {one if count == 1 else many}"] * bool(count)

"""What changed since the last run that came to a decision, found before anything is brought or run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import RoadsegError
from roadseg.pipeline.dvc import dvc
from roadseg.pipeline.graph import read_graph, why
from roadseg.workspace.compare import (
    changed_code,
    compare_data,
    compare_versions,
    differing,
    sections_of,
    text_of,
)
from roadseg.workspace.data_branch import current_data
from roadseg.workspace.plumbing import asked, commit_of, maybe
from roadseg.workspace.records import RunRecord, digest_lock, kept_lock
from roadseg.workspace.results import Overrides, set_overrides
from roadseg.workspace.tree import lay_data_files, looking_tree

POLICY = "promote"  # the section of params.yaml that no stage reads
UP_TO_DATE = "Data and pipelines are up to date."


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
    with looking_tree(repository, commit) as tree:
        lay_data_files(tree, data.commit)
        set_overrides(tree, overrides)
        found = _seen(tree, before, ["--cached", before.commit])
        if found is None:
            return replace(_known(before), other=(f"no commit here holds what run {before.name or before.run} made",))
        if found.reruns:
            return found
        for path in (paths.METRICS, paths.VERDICT):  # outs that git holds and no cache
            asked(tree, "checkout", "-q", before.commit, "--", str(path))
        (tree / paths.LOCK).write_text(kept_lock(before) or maybe(tree, "show", f"{before.commit}:./{paths.LOCK}"))
        return found if up_to_date(tree) else replace(found, other=("DVC finds a change that git does not show",))


def tree_changes(tree: Path, before: RunRecord | None) -> Changes:
    """Find what changed in a tree that somebody works in, also what no commit holds.

    Args:
        tree: the project folder of a checkout.
        before: what to compare with, see `records.last_final`.
    """
    if before is None:
        return Changes(first=True)
    found = _seen(tree, before, [before.commit])
    if found is None:  # it worked on what nobody has committed
        policy = tuple(differing(*_policies(tree, before)))
        same = digest_lock(tree) == before.lock != ""
        found = replace(_known(before), policy=policy, other=() if same else (f"{paths.LOCK} is not that of the run",))
    return found if found.reruns or up_to_date(tree) else _edited(tree, found)


def up_to_date(tree: Path) -> bool:
    """Whether DVC would run and restore nothing; where it cannot tell, it would."""
    try:
        said = dvc(tree, "repro", "--dry", "--allow-missing").strip().splitlines()
    except RoadsegError:  # changed and no data to show it with: DVC fails, and does not say why
        return False
    return bool(said) and said[-1].strip() == UP_TO_DATE


def _known(before: RunRecord) -> Changes:
    """What can be said of a run without a look at any tree."""
    return Changes(versions=compare_versions(before.versions), again=before.missing, before=before.name or before.run)


def _seen(tree: Path, before: RunRecord, ends: list[str]) -> Changes | None:
    """What git shows; None where no commit holds what that run worked on.

    Args:
        tree: the project folder.
        before: the run.
        ends: what `git diff` compares.
    """
    if not before.commit or not commit_of(tree, before.commit):
        return None
    old = sections_of(maybe(tree, "show", f"{before.commit}:./{paths.PARAMS}"))
    new = sections_of(text_of(tree / paths.PARAMS))
    policies = {POLICY: old.pop(POLICY, {})}, {POLICY: new.pop(POLICY, {})}
    drives, data_files = compare_data(tree, before)
    return replace(
        _known(before),
        drives_added=drives.added,
        drives_changed=drives.changed,
        drives_removed=drives.removed,
        data_files=data_files,
        params=tuple(differing(old, new)),
        code=tuple(changed_code(tree, ends)),
        policy=tuple(differing(*policies)),
    )


def _edited(tree: Path, found: Changes) -> Changes:
    """What DVC says changed since the tree's own dvc.lock, which it asks the data for."""
    try:
        reasons = {reason for stage in read_graph(tree) for reason in why(tree, stage.name)}
    except RoadsegError as error:  # it is at work here
        return replace(found, other=(f"DVC cannot tell: {error}",))
    made = {out for stage in read_graph(tree) for out in stage.outs}
    own = sorted(reason for reason in reasons if reason.partition(" ")[0] not in made)
    code = tuple(reason.partition(" ")[0] for reason in own if reason.startswith("src/"))
    data = tuple(reason.partition(" ")[0] for reason in own if reason.startswith(f"{paths.RAW.parent}/"))
    params = tuple(reason for reason in own if not reason.startswith(("src/", f"{paths.RAW.parent}/")))
    other = () if own else ("what the stages made is not there",)
    return replace(found, code=code, data_files=data, params=params, other=other)


def _policies(tree: Path, before: RunRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """The policy that a run was judged by, and that of a tree; the same where nobody knows the first."""
    now = sections_of(text_of(tree / paths.PARAMS)).get(POLICY, {})
    return {POLICY: (before.decision or {}).get("policy") or now}, {POLICY: now}


def _counted(found: Iterable[str], one: str, many: str) -> list[str]:
    count = len(list(found))
    return [f"{count} {one if count == 1 else many}"] * bool(count)

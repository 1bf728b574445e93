"""What must be true at the end of every day."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from servers import ask
from workspace_project import git

from flows.services.alive import runs_at_work
from roadseg.contracts.files import digest_file, home
from roadseg.registry import ledger
from roadseg.registry.versions import CHAMPION, MODEL, fetch_bundle, version_at
from roadseg.tracking.store import connect
from roadseg.workspace.data_branch import BRANCH
from roadseg.workspace.lock import present_holder
from roadseg.workspace.records import RunRecord, find_record, read_records
from tests.flows.month.team import Team

KINDS = ("gtFine", "leftImg8bit")  # of files that are delivered
OPEN = {"Running", "Interrupted"}  # states of a record whose run has not ended
MOVED_BY_RUNS = {ledger.PROMOTE: "PROMOTE", ledger.ROLLBACK: "ROLLBACK"}  # kind of the ledger, outcome of the record


def check_champion() -> None:
    """The ledger explains every move of the alias to where it stands, and names a run whose record says the same."""
    client, last = connect(), None
    for move in reversed(ledger.done_moves(client)):
        assert move.origin == last, f"nobody explains how the champion came from {last} to {move.origin}"
        last = move.target
        if outcome := MOVED_BY_RUNS.get(move.kind):
            record = find_record(move.tags["flow_run"])
            assert (record.outcome, record.version) == (outcome, move.target), record
            assert move.kind != ledger.PROMOTE or move.tags["reasons"]
    assert not ledger.open_moves(client)
    assert version_at(client, CHAMPION) == last


def check_runs(api: str, records: list[RunRecord]) -> None:
    """Every run has ended, also in Prefect, under the name that its record has; a decision lies beside its record."""
    for record in records:
        assert record.state not in OPEN, record
        assert (record.ended is None) == (record.state in ("Suspended", "Waiting")), record
        shown = ask(f"{api}/flow_runs/{record.run}")
        assert shown["name"] == record.name, (shown["name"], record)
        if record.decision and record.deployment == "retrain" and record.outcome != "CHAMPION ALREADY":
            assert (home() / "flows" / record.run / "decision.json").is_file(), record
        assert record.state != "Failed" or record.problem


def check_data(team: Team) -> None:
    """Every good file is in the data once, no bad one is, and no commit of the data lacks what one before it had."""
    branch = BRANCH if git(team.tree, "branch", "--list", BRANCH) else "main"  # the first ingest makes it
    revisions = git(team.tree, "log", "--format=%H", "--reverse", "--first-parent", branch, "--", "data/raw.dvc")
    before: set[str] = set()
    for revision in revisions.split():
        files = Counter(md5_of(team.tree, revision).values())
        assert max(files.values()) == 1, f"{revision} has a file twice"
        assert before <= set(files), f"{revision} lacks what the commit before it had"
        before = set(files)
    assert git(team.tree, "rev-parse", branch) == git(team.tree.parent / "remote.git", "rev-parse", branch)
    listed = md5_of(team.tree, branch)
    assert sorted(team.good) == sorted(md5 for path, md5 in listed.items() if path.startswith(KINDS))
    assert not team.bad & set(listed.values())
    store = team.tree.parent / "store/files/md5"
    assert branch == "main" or all((store / md5[:2] / md5[2:]).is_file() for md5 in listed.values())


def check_trained(team: Team, records: list[RunRecord]) -> None:
    """No version was trained on an image twice, or on one that its run's data did not have."""
    cache = team.tree / ".dvc/cache/files/md5"
    for record in records:
        if record.version is None or record.deployment != "retrain":
            continue
        seen = Counter(
            pq.read_table(fetch_bundle(f"models:/{MODEL}/{record.version}") / "samples.parquet")["image_sha"]
        )
        assert max(seen.values()) == 1, f"version {record.version} has seen an image twice"
        files = json.loads((cache / record.data[:2] / record.data[2:]).read_text())
        there = {
            digest_file(cache / entry["md5"][:2] / entry["md5"][2:])
            for entry in files
            if entry["relpath"].startswith("leftImg8bit/train/")
        }
        assert {str(image) for image in seen} == there, f"version {record.version}"


def check_nothing_works(seconds: float = 60) -> None:
    """No process of a run lives, and nobody holds the workspace."""
    deadline = time.monotonic() + seconds
    while (left := runs_at_work()) and time.monotonic() < deadline:  # the run that looks after others comes and goes
        time.sleep(0.5)
    assert not left
    assert present_holder() is None


def records_since(moment: float) -> list[RunRecord]:
    """Of the runs that worked since then, the oldest first; of a run that waited for a person too."""
    found = [each for each in read_records() if each.deployment != "reconcile"]
    return [each for each in reversed(found) if each.started >= moment or (each.ended or 0) >= moment]


def disk_use(folder: Path) -> int:
    """Bytes of a folder; a file with two names counts once."""
    sizes = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = (Path(parent) / name).lstat()
            except FileNotFoundError:
                continue
            sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def md5_of(tree: Path, revision: str) -> dict[str, str]:
    """MD5 of the data that a revision names, by path."""
    md5 = yaml.safe_load(git(tree, "show", f"{revision}:data/raw.dvc"))["outs"][0]["md5"]
    listed = json.loads((tree / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").read_text())
    return {entry["relpath"]: entry["md5"] for entry in listed}

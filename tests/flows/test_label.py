"""The label flows beside a real server, git and DVC: who is told what is picked, and what an import versions."""

import json
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from bundles import painter
from drifting import new_pictures
from handmade import batch_of
from jinja2 import StrictUndefined
from jinja2 import Template as Jinja
from labelled import scene_tree
from PIL import Image
from prefect.client.schemas.objects import State
from trees import ROOT
from workspace_project import git, give_remotes

from flows import label as flow
from flows import monitor, turn
from flows import run as runs
from flows.options import check
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import write_json
from roadseg.contracts.manifest import read_manifest
from roadseg.labelling.batch import open_batch, write_batch
from roadseg.labelling.sources import NothingLeft, find_source
from roadseg.labelling.tools.write import export_batch
from roadseg.registry import champion
from roadseg.registry.champion import Champion
from roadseg.workspace.data_branch import BRANCH
from roadseg.workspace.records import read_records


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, prefect_api: str) -> list[tuple[str, dict[str, Any]]]:
    """Events that were emitted, and messages that were sent, in place of both."""
    heard: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(runs, "emit_event", lambda event, **said: heard.append((event, said["payload"])))
    monkeypatch.setattr(flow, "tell", lambda kind, title, **said: heard.append((kind, {"title": title, **said})))
    monkeypatch.setattr(runs, "tell", lambda kind, title, **said: heard.append((kind, {"title": title, **said})))
    return heard


@pytest.fixture
def scenes_here(many_drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of new drives; the current folder has a manifest, and a champion is there."""
    tree = scene_tree(tmp_path / "tree", many_drives)
    git(tree, "init", "-q")
    monkeypatch.chdir(tree)
    painter(tmp_path / "champion", ClassTable.find("idd-level1"), sure=5.0, model="painter")
    known = Champion("champion (version 3)", tmp_path, tmp_path / "champion", None)
    monkeypatch.setattr(champion, "fetch_champion", lambda: known)
    return new_pictures(many_drives, tmp_path / "new")


def test_enough_new_pictures_are_picked_from_and_people_are_told(
    told: list[tuple[str, dict[str, Any]]], scenes_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = flow.label(str(scenes_here), at_least=21, return_state=True)
    assert (few.name, few.message) == ("Skipped", f"20 new pictures in {scenes_here}, picked from 21 on")
    assert told == []
    state: State[Any] = flow.label("test", count=3, at_least=20, return_state=True)
    assert state.name == "Picked", state.message
    [batch] = list(flow.all_batches())
    assert (len(batch.picks), batch.model) == (3, "champion (version 3)")
    event, message = told
    assert event[0] == "roadseg.labels.picked"
    assert (event[1]["batch"], event[1]["pictures"]) == (batch.name, 3)
    assert Path(event[1]["page"]).read_text().count("<li data-places") == 3
    assert message[0] == "picked"
    assert f"`roadseg label export {batch.name} --to cvat`" in message[1]["reason"]
    assert read_records(1)[0].name == f"picked {batch.name}: 3 of 80 pictures of the test split"
    monkeypatch.setattr(champion, "fetch_champion", lambda: None)
    waits = flow.label("test", at_least=1, return_state=True)
    assert (waits.name, str(waits.message).partition(":")[0]) == (
        "Skipped",
        f"batch {batch.name} of 3 pictures waits for labels",
    )
    held = flow.label(f"{scenes_here}/", at_least=20, return_state=True)
    assert (held.name, told[-1][0]) == ("Held", "held")


def test_new_are_pictures_that_no_batch_of_the_source_has(
    tmp_path: Path, many_drives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = scene_tree(tmp_path / "tree", many_drives)
    folder = new_pictures(many_drives, tmp_path / "new")
    manifest = read_manifest(tree / "data/manifest.parquet")
    found = find_source(f"{folder}/", tree, manifest)
    samples = [row["sample"] for row in manifest.records("test")[:3]]
    batch = batch_of(tree, samples, "one", source=str(folder))
    gone = ["evicted.png", found.frames[0].name, found.frames[1].name]
    write_batch(replace(batch, picks=[replace(p, frame=name) for p, name in zip(batch.picks, gone, strict=True)]))
    assert (flow.unpicked(found), flow.waits_for_labels(found.name)[:9]) == (len(found.frames) - 2, "batch one")
    write_json(batch.folder / "imported.json", "label-import", {"pictures": []})
    assert flow.waits_for_labels(found.name) == ""


def test_where_nothing_is_left_to_pick_a_run_is_skipped(
    told: list[tuple[str, dict[str, Any]]], scenes_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> None:
        raise NothingLeft("all are copies")

    monkeypatch.setattr(flow, "pick_pictures", nothing)
    state = flow.label(str(scenes_here), at_least=1, return_state=True)
    assert (state.name, state.message, told) == ("Skipped", "all are copies", [])


def test_what_monitor_tells_is_what_label_takes(tmp_path: Path) -> None:
    said: dict[str, Any] = {}
    finding = {"drifted": ["shares"], "frames": 20, "sentence": "other"}

    class Heard:
        repository, folder, record = tmp_path, tmp_path, SimpleNamespace(url="")
        note = name_it = staticmethod(lambda *_, **__: None)

        def announce(self, event: str, resource: str, **payload: Any) -> None:
            said.update(event=event, resource={"id": resource}, payload=payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "compare_pictures", lambda *_: (3, finding))
        patch.setattr(monitor, "_show", lambda *_: None)
        patch.setattr(monitor, "tell", lambda *_, **__: None)
        monitor._look(Heard(), monitor.MonitorOptions(folder="/srv/new"))  # type: ignore[arg-type]
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    [trigger] = next(each for each in listed if each["name"] == "label")["triggers"]
    assert trigger["expect"] == [said["event"]]
    assert fnmatch(said["resource"]["id"], trigger["match"]["prefect.resource.id"])
    values = {
        name: Jinja(value, undefined=StrictUndefined).render(event=said) if isinstance(value, str) else value
        for name, value in trigger["parameters"].items()
    }
    options = check(flow.LabelOptions, values)
    assert (options.source, options.at_least, options.requester) == ("/srv/new", 1, said["resource"]["id"])


def test_without_kept_frames_it_says_how_some_are_kept(
    told: list[tuple[str, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    state = flow.label(return_state=True)
    assert state.name == "Skipped"
    assert "`roadseg serve --keep" in str(state.message)
    wrong = flow.label("relative/folder", return_state=True)
    assert wrong.is_failed()
    assert "source" in str(wrong.message)


def test_an_import_is_versioned_pushed_and_told_of_so_that_retrain_starts(
    told: list[tuple[str, dict[str, Any]]],
    imported: Path,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))
    give_remotes(tree)
    monkeypatch.chdir(tree)
    images = sorted((tree / "data/raw/leftImg8bit/test").rglob("*.jpg"))
    drive = images[0].parent.name
    samples = [f"test/{drive}/{path.stem.removesuffix('_image')}" for path in images[:2]]
    batch = batch_of(finished, samples, "one")
    export_batch(batch, "folders", tmp_path / "out", tmp_path)

    status = git(tree, "status", "--porcelain")
    state: State[Any] = flow.label_import("one", str(tmp_path / "out"), return_state=True)
    assert state.name == "Taken", state.message
    assert git(tree, "rev-parse", BRANCH) == git(tmp_path / "remote.git", "rev-parse", BRANCH)
    assert git(tree, "log", "--format=%s", f"main..{BRANCH}") == f"Take train/{drive}"
    assert f"{drive},train,raw,one" in git(tree, "show", f"{BRANCH}:data/splits.csv")
    assert len(git(tree, "show", f"{BRANCH}:data/quarantine.csv").splitlines()) == 1 + len(images) - 2
    md5 = yaml.safe_load(git(tree, "show", f"{BRANCH}:data/raw.dvc"))["outs"][0]["md5"]
    listed = json.loads((tree / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").read_text())
    new = [entry["relpath"] for entry in listed if entry["relpath"].startswith("gtFine/test/")]
    assert len(new) == 2
    assert git(tree, "status", "--porcelain") == status
    [(event, payload)] = told
    assert (event, payload["drives"]) == ("roadseg.dataset.changed", [f"train/{drive}"])
    assert open_batch("one").imported

    again: State[Any] = flow.label_import("one", str(tmp_path / "out"), return_state=True)
    assert (again.name, payload["revision"]) == ("Taken", git(tree, "rev-parse", BRANCH))
    assert len(told) == 1  # nothing is new, so retrain does not start again
    (batch.folder / "told.json").unlink()  # as where the first run was killed before it told
    flow.label_import("one", str(tmp_path / "out"), return_state=True)
    assert [event for event, _ in told] == ["roadseg.dataset.changed"] * 2
    Image.new("L", (3, 3)).save(tmp_path / f"out/masks/{batch.picks[0].name}.png")
    woken = list[str]()
    monkeypatch.setattr(turn, "wake_waiting", lambda: woken.append("look"))
    refused: State[Any] = flow.label_import("one", str(tmp_path / "out"), return_state=True)
    assert refused.is_failed()
    assert "is 3x3, and the picture" in str(refused.message)
    assert told[-1][0] == "refused"
    assert woken == ["look"]

import os
from dataclasses import replace
from pathlib import Path

import pytest
from trees import commit, run
from typer.testing import CliRunner
from workspace_project import RESULTS, add_drive, change, git, head, write

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError
from roadseg.workspace import changes as changes_module
from roadseg.workspace.changes import Changes, find_changes, tree_changes
from roadseg.workspace.data import compare_drives
from roadseg.workspace.data_branch import BRANCH
from roadseg.workspace.records import RunRecord, keep_lock, present_versions, write_record


@pytest.fixture
def before(after_a_run: Path) -> RunRecord:
    """The run whose results are on `RESULTS`."""
    return RunRecord(run="one", name="promoted v7", commit=head(after_a_run, RESULTS), final=True)


@pytest.fixture
def asked_dvc(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The trees in which DVC was asked, which it says are up to date."""
    asked: list[Path] = []
    monkeypatch.setattr(changes_module, "up_to_date", lambda tree: bool(asked.append(tree)) or True)
    return asked


def find(tree: Path, before: RunRecord | None, **overrides: dict[str, object]) -> Changes:
    return find_changes(tree, head(tree), overrides, before)


def test_without_a_run_before_all_is_new(project: Path) -> None:
    found = find(project, None)
    assert (found.first, found.reruns, found.asks_gate) == (True, True, True)
    assert found.lines() == [found.sentence()] == ["there is no finished run to compare with"]


def test_nothing_changed_is_said_by_git_and_dvc(after_a_run: Path, before: RunRecord) -> None:
    found = find(after_a_run, before)
    assert (found.reruns, found.asks_gate) == (False, False)
    assert found.sentence() == "nothing changed since promoted v7"
    assert found.lines() == [found.sentence()]


def test_parameters_are_named_by_key_with_both_values(after_a_run: Path, before: RunRecord) -> None:
    change(after_a_run, "params.yaml", "scan: {seed: 3, new: a}\nevaluate: {batch: 4}\npromote: {gain: 0.003}\n")
    found = find(after_a_run, before)
    assert found == Changes(params=("scan.new absent -> a", "scan.seed 0 -> 3"), before="promoted v7")
    assert found.reruns
    assert found.lines() == ["parameter: scan.new absent -> a", "parameter: scan.seed 0 -> 3"]


def test_overrides_are_part_of_what_is_compared(after_a_run: Path, before: RunRecord) -> None:
    assert find(after_a_run, before, evaluate={"batch": 8}).params == ("evaluate.batch 4 -> 8",)
    git(after_a_run, "switch", "-q", RESULTS)
    text = (after_a_run / "params.yaml").read_text().replace("batch: 4", "batch: 8")
    change(after_a_run, "params.yaml", text)
    git(after_a_run, "switch", "-q", "main")
    with_overrides = before.model_copy(update={"commit": head(after_a_run, RESULTS)})
    assert find(after_a_run, with_overrides).params == ("evaluate.batch 8 -> 4",)
    with pytest.raises(UsageError, match=r"no evaluate\.bach"):
        find(after_a_run, before, evaluate={"bach": 8})


def test_code_is_named_by_file_where_a_stage_depends_on_it(after_a_run: Path, before: RunRecord) -> None:
    write(after_a_run, {"src/roadseg/pages/page.py": "of no stage = 2\n", "src/roadseg/scan/notes.txt": "no code"})
    write(after_a_run, {"src/roadseg/scan/stage.py": "two = 2\n", "src/roadseg/evaluate/néw.py": "one = 1\n"})
    commit(after_a_run, "code")
    found = find(after_a_run, before)
    assert found == Changes(code=("src/roadseg/evaluate/néw.py", "src/roadseg/scan/stage.py"), before="promoted v7")
    assert found.sentence() == "2 files of code changed"


def test_another_graph_is_a_change_of_code(after_a_run: Path, before: RunRecord) -> None:
    change(after_a_run, "dvc.yaml", (after_a_run / "dvc.yaml").read_text().replace("echo '{}'", "echo '{ }'"))
    assert find(after_a_run, before).code == ("dvc.yaml",)


def test_data_are_named_by_drive(after_a_run: Path, before: RunRecord) -> None:
    write(after_a_run, {"data/raw/leftImg8bit/train/1/a_image.jpg": "repaired"})
    (after_a_run / "data/raw/leftImg8bit/train/2/a_image.jpg").unlink()
    (after_a_run / "data/raw/gtFine/train/2/a_label.png").unlink()
    add_drive(after_a_run, "3")
    change(after_a_run, "data/quarantine.csv", "more\n")
    found = find(after_a_run, before)
    assert (found.drives_added, found.drives_changed, found.drives_removed) == (
        ("train/3",),
        ("train/1",),
        ("train/2",),
    )
    assert found.data_files == ("data/quarantine.csv",)
    assert found.sentence() == "1 drive added, 1 drive changed, 1 drive removed, data/quarantine.csv changed"


def test_data_come_from_the_data_branch(after_a_run: Path, before: RunRecord) -> None:
    git(after_a_run, "switch", "-q", "-c", BRANCH)
    change(after_a_run, "data/classes.yaml", "name: other\n")
    git(after_a_run, "switch", "-q", "main")
    assert find(after_a_run, before).data_files == ("data/classes.yaml",)


def test_data_that_the_cache_does_not_list_are_another_version(after_a_run: Path, before: RunRecord) -> None:
    text = (after_a_run / "data/raw.dvc").read_text()
    change(after_a_run, "data/raw.dvc", text.replace("md5: ", "md5: 0123"))
    assert find(after_a_run, before).data_files == ("data/raw.dvc",)


def test_the_policy_alone_reruns_nothing_and_asks_the_gate(
    after_a_run: Path, before: RunRecord, asked_dvc: list[Path]
) -> None:
    change(after_a_run, "params.yaml", (after_a_run / "params.yaml").read_text().replace("0.003", "0.01"))
    found = find(after_a_run, before)
    assert (found.policy, found.params) == (("promote.gain 0.003 -> 0.01",), ())
    assert (found.reruns, found.asks_gate) == (False, True)
    assert len(asked_dvc) == 1


def test_evidence_that_was_missing_asks_the_gate_again(
    after_a_run: Path, before: RunRecord, asked_dvc: list[Path]
) -> None:
    found = find(after_a_run, before.model_copy(update={"missing": True}))
    assert (found.reruns, found.asks_gate) == (False, True)
    assert found.sentence() == "the gate lacked evidence and is asked again"


def test_versions_alone_rerun_nothing_and_are_told_apart(
    after_a_run: Path, before: RunRecord, asked_dvc: list[Path]
) -> None:
    found = find(
        after_a_run, before.model_copy(update={"versions": present_versions() | {"numpy": "1.0", "gone": "2"}})
    )
    assert found.versions == ("gone 2 -> absent", f"numpy 1.0 -> {present_versions()['numpy']}")
    assert (found.reruns, found.asks_gate) == (False, False)
    assert found.lines()[0] == "version (reruns nothing): gone 2 -> absent"


def test_a_run_whose_commit_is_gone_leads_to_another(after_a_run: Path, before: RunRecord) -> None:
    for commit_id in ("", "0" * 40):
        found = find(after_a_run, before.model_copy(update={"commit": commit_id}))
        assert found.other == ("no commit here holds what run promoted v7 made",)
        assert found.reruns


def test_a_change_that_git_does_not_show_is_dvc_s_to_find(after_a_run: Path, before: RunRecord) -> None:
    git(after_a_run, "switch", "-q", RESULTS)
    lock = (after_a_run / "dvc.lock").read_text().replace("seed: 0", "seed: 1")
    change(after_a_run, "dvc.lock", lock)  # made with other parameters than it stands beside
    git(after_a_run, "switch", "-q", "main")
    found = find(after_a_run, before.model_copy(update={"commit": head(after_a_run, RESULTS)}))
    assert found.other == ("DVC finds a change that git does not show",)


def test_no_data_and_nothing_of_the_person_s_are_touched(
    after_a_run: Path, before: RunRecord, asked_dvc: list[Path]
) -> None:
    add_drive(after_a_run, "3")
    commit(after_a_run, "more")
    status = git(after_a_run, "status", "--porcelain", "--ignored")
    find(after_a_run, before)
    assert git(after_a_run, "status", "--porcelain", "--ignored") == status
    assert asked_dvc == []  # git has said enough, and DVC takes seconds
    assert not (Path(os.environ["ROADSEG_HOME"]) / "workspace").exists()


def test_a_tree_that_somebody_works_in_is_compared_with_its_edits(after_a_run: Path, before: RunRecord) -> None:
    git(after_a_run, "checkout", "-q", RESULTS, "--", "dvc.lock", "metrics.json")
    run(after_a_run, "dvc", "checkout", "-q")
    assert tree_changes(after_a_run, before).sentence() == "nothing changed since promoted v7"
    write(after_a_run, {"src/roadseg/scan/new.py": "", "data/classes.yaml": "name: other\n"})
    write(after_a_run, {"params.yaml": (after_a_run / "params.yaml").read_text().replace("seed: 0", "seed: 2")})
    found = tree_changes(after_a_run, before)
    assert (found.code, found.params) == (("src/roadseg/scan/new.py",), ("scan.seed 0 -> 2",))
    assert found.data_files == ("data/classes.yaml",)
    assert tree_changes(after_a_run, None).first


def test_a_tree_whose_run_nobody_committed_is_known_by_its_lock(after_a_run: Path) -> None:
    write(after_a_run, {"src/roadseg/scan/stage.py": "edited = 1\n"})
    run(after_a_run, "dvc", "repro", "-q")
    lock, policy = keep_lock("two", after_a_run), {"policy": {"gain": 0.003}}
    before = RunRecord(run="two", name="held", lock=lock, decision=policy, final=True)
    assert tree_changes(after_a_run, before).sentence() == "nothing changed since held"
    write(after_a_run, {"params.yaml": (after_a_run / "params.yaml").read_text().replace("0.003", "0.01")})
    found = tree_changes(after_a_run, before)
    assert (found.reruns, found.policy) == (False, ("promote.gain 0.003 -> 0.01",))
    write(after_a_run, {"src/roadseg/scan/stage.py": "edited = 2\n", "data/raw/leftImg8bit/train/1/a_image.jpg": "x"})
    write(after_a_run, {"params.yaml": (after_a_run / "params.yaml").read_text().replace("batch: 4", "batch: 5")})
    found = tree_changes(after_a_run, before)
    assert (found.code, found.data_files, found.params) == (
        ("src/roadseg/scan",),
        ("data/raw",),
        ("evaluate.batch modified",),
    )
    other = before.model_copy(update={"lock": "0" * 64})
    assert tree_changes(after_a_run, other).other == ("dvc.lock is not that of the run",)


def test_edited_data_that_were_not_versioned_count_by_the_record(after_a_run: Path, before: RunRecord) -> None:
    old = (after_a_run / "data/raw.dvc").read_text()
    add_drive(after_a_run, "3")  # the run's own data, versioned by it, while its commit names others
    md5 = (after_a_run / "data/raw.dvc").read_text().partition("md5: ")[2].split()[0]
    write(after_a_run, {"data/raw.dvc": old})
    assert find(after_a_run, before.model_copy(update={"data": md5})).drives_removed == ("train/3",)


@pytest.mark.parametrize(
    ("path", "drive"),
    [
        ("leftImg8bit/train/12/0045_image.jpg", "train/12"),
        ("gtFine/val/7/0045_label.png", "val/7"),
        ("idd20kII/leftImg8bit/train/201/f_leftImg8bit.png", "train/idd20kII/201"),
        ("images/north/1.jpg", "north"),
        ("north/images/1.jpg", "north"),
        ("Image/Image_1.png", "data/raw/Image"),
    ],
)
def test_a_drive_is_what_the_folders_of_the_layout_say(path: str, drive: str) -> None:
    others = {"leftImg8bit/train/99/a.png": "1", "south/images/1.jpg": "1"}  # so that no folder is around all
    assert compare_drives(others, others | {path: "2"}).added == (drive,)


def test_folders_around_the_whole_set_are_no_drives() -> None:
    before = {"set/leftImg8bit/train/1/a.png": "1", "set/gtFine/train/1/a.png": "2"}
    assert compare_drives(before, before | {"set/leftImg8bit/train/2/a.png": "3"}).added == ("train/2",)


def test_a_sentence_stays_short_and_the_lines_have_all() -> None:
    many = Changes(
        drives_added=tuple(f"train/{number}" for number in range(40)),
        params=tuple(f"train.key{number} 1 -> 2" for number in range(5)),
        policy=("promote.gain 0 -> 1",),
        before="held",
    )
    assert many.sentence() == (
        "40 drives added, train.key0 1 -> 2, train.key1 1 -> 2, train.key2 1 -> 2, 2 more parameters changed, "
        "promote.gain 0 -> 1"
    )
    assert len(many.lines()) == 46
    assert not replace(many, drives_added=(), params=()).reruns


def test_why_says_what_a_run_would_find(
    after_a_run: Path, before: RunRecord, asked_dvc: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(*arguments: str) -> list[str]:
        result = CliRunner().invoke(app, ["why", *arguments])
        assert result.exit_code == 0, result.output
        return result.output.splitlines()

    monkeypatch.chdir(after_a_run)
    assert say() == ["  there is no finished run to compare with"]
    write_record(before)
    head_line, nothing, end = say()
    assert head_line.startswith("since promoted v7 of 20")
    assert (nothing, end) == ("  nothing changed since promoted v7", "a run would end at once, skipped")
    write(after_a_run, {"src/roadseg/scan/stage.py": "edited = 1\n"})
    assert say()[1:] == ["  code: src/roadseg/scan/stage.py"]
    assert say("--revision", "main")[-1] == "a run would end at once, skipped"
    assert say("--revision", "main")[0] == "note: there is no remote, so the local branch main is taken"

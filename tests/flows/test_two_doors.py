"""One graph, two doors: what runs, what does not, and that both agree."""

import hashlib
import json
import os
import re
import sqlite3
import warnings
from contextlib import chdir, closing
from pathlib import Path

import pytest
from PIL import Image
from trees import append, change_params, hostile, run
from typer.testing import CliRunner

from roadseg.cli.app import app

STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]


def repro(tree: Path) -> list[str]:
    """Run `dvc repro`; which stages ran."""
    return re.findall(r"Running stage '(\w+)'", run(tree, "dvc", "repro").stdout)


def retrain(tree: Path, **env: str) -> tuple[dict[str, str], dict[str, str]]:
    """Run the flow; how each task ended, and with which reason."""
    done = run(tree, "python", "-m", "flows.retrain", **env)
    ended = re.findall(r"Task run '([\w ]+)' - Finished in state (\w+)\(['\"](.*?)['\"],", done.stdout + done.stderr)
    return {task: name for task, name, _ in ended}, {task: reason for task, _, reason in ended}


def shown_in_prefect(tree: Path) -> list[str]:
    """The artifacts that the flow's runs left, as Markdown."""
    with closing(sqlite3.connect(tree / ".roadseg/prefect/prefect.db")) as database:
        return [json.loads(data) for (data,) in database.execute("select data from artifact where type = 'markdown'")]


def roadseg(tree: Path, *words: str) -> str:
    """What a verb says in a checkout; in this process, where MLflow is loaded once."""
    with chdir(tree), warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.filterwarnings("ignore", module="mlflow")  # importing its models warns of its own type hints
        patch.setenv("ROADSEG_HOME", str(tree / ".roadseg"))
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_configured_server_that_is_gone_is_one_line(checkout: Path) -> None:
    gone = "http://127.0.0.1:9/api"
    refused = run(checkout, "python", "-m", "flows.retrain", check=False, PREFECT_API_URL=gone)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"error: PREFECT_API_URL is {gone}, and nothing answers there")


def test_where_another_works_on_the_same_files_the_flow_names_it_and_ends_as_busy(checkout: Path) -> None:
    (checkout / ".dvc/tmp").mkdir(exist_ok=True)
    lock = {str(checkout / "data/raw"): {"pid": os.getpid(), "cmd": "dvc repro"}}
    (checkout / ".dvc/tmp/rwlock").write_text(json.dumps({"write": lock, "read": {}}))
    busy = run(checkout, "python", "-m", "flows.retrain", check=False)
    assert busy.returncode == 5, busy.stderr
    assert busy.stderr.splitlines()[-1].startswith("error: ")
    assert f"data/raw is in use by process {os.getpid()}: wait until that ends" in busy.stderr
    assert "Traceback" not in busy.stdout + busy.stderr


def test_epochs_rerun_train_and_evaluate_through_either_door(finished_checkout: Path, tmp_path: Path) -> None:
    change_params(finished_checkout, {"train": {"epochs": 1}})
    ended, reasons = retrain(finished_checkout, ROADSEG_PAGES="on", **hostile(tmp_path))
    assert [stage for stage in STAGES if ended[stage] == "Ran"] == ["train", "evaluate"]
    assert reasons["train"] == "train.epochs modified"
    assert {(ended[stage], reasons[stage]) for stage in STAGES[:3]} == {("Cached", "nothing changed")}
    assert "<img src" in (finished_checkout / "reports/model.html").read_text()
    verdict, scores, decision, why = sorted(shown_in_prefect(finished_checkout))
    assert why.startswith("## What changed")
    assert verdict.startswith("## Data accepted")
    assert decision.startswith("## PROMOTE version 1")
    assert "first model" in Path(re.findall(r"In MLflow: `file://(.*)`", decision)[0]).read_text()
    assert "Data accepted" in Path(re.findall(r"In MLflow: `file://(.*)`", verdict)[0]).read_text()
    figure = re.findall(r"## Mean IoU (\S+)", scores)[0]
    assert f'id="miou">{figure}<' in Path(re.findall(r"In MLflow: `file://(.*)`", scores)[0]).read_text()
    assert "champion" in roadseg(finished_checkout, "models", "list")
    assert "CHAMPION ALREADY" in roadseg(finished_checkout, "promote")
    assert repro(finished_checkout) == []
    again = run(finished_checkout, "python", "-m", "flows.retrain")
    assert "skipped: nothing changed since promoted v1" in again.stderr
    assert "Task run" not in again.stderr
    assert again.stdout.startswith("PROMOTE version 1"), "what the gate answered then"
    change_params(finished_checkout, {"train": {"epochs": 2}})
    said = run(finished_checkout, "dvc", "repro").stdout
    assert re.findall(r"Stage '(\w+)' is cached - skipping run", said) == ["train", "evaluate"]
    assert re.findall(r"Stage '(\w+)' didn't change", said) == ["scan", "validate", "preprocess"]


def test_each_change_reruns_what_it_can_matter_to(finished_checkout: Path) -> None:
    tree = finished_checkout
    for package in ("pages", "tracking"):
        append(tree / f"src/roadseg/{package}/__init__.py", "# changed\n")
    append(tree / "flows/retrain.py", "# changed\n")
    assert repro(tree) == []
    change_params(tree, {"validate": {"void_max": 0.5}})
    assert repro(tree) == ["validate"]
    append(tree / "src/roadseg/evaluate/scores.py", "# changed\n")
    assert repro(tree) == ["evaluate"]


def in_cache(tree: Path, path: Path) -> bool:
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return (tree / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).exists()


def test_an_edited_image_reaches_the_cache_through_dvc(imported: Path, checkout: Path) -> None:
    image = next((checkout / "data/raw/leftImg8bit/train").rglob("*.jpg"))
    Image.open(image).rotate(180).save(image)
    assert not in_cache(checkout, image)
    run(checkout, "dvc", "repro", "-q", "scan")
    assert in_cache(checkout, image)
    assert (checkout / "data/raw.dvc").read_text() != (imported / "data/raw.dvc").read_text()


def test_a_second_clone_pulls_runs_nothing_and_publishes_to_an_empty_mlflow(finished: Path, tmp_path: Path) -> None:
    run(tmp_path, "git", "clone", "-q", str(finished), "clone")
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    for tree in (finished, clone):
        run(tree, "dvc", "remote", "add", "--local", "-f", "-d", "store", str(remote))
    run(finished, "dvc", "push", "-q")
    run(finished, "dvc", "remote", "remove", "--local", "store")  # other tests copy that tree
    run(clone, "dvc", "pull", "-q")
    assert repro(clone) == []
    for _ in range(2):
        assert "registered as version 1" in roadseg(clone, "register")
    scores = json.loads((clone / "metrics.json").read_text())
    assert f"{scores['miou']:.4f}" in roadseg(clone, "models", "list")


def test_refused_data_are_named_at_either_door_and_the_run_after_the_repair_works(checkout: Path) -> None:
    mask = next((checkout / "data/raw/gtFine/train").rglob("*_label.png"))
    content = mask.read_bytes()
    for part, door, code in ((2, ["dvc", "repro"], 255), (3, ["python", "-m", "flows.retrain"], 3)):
        mask.write_bytes(content[: len(content) // part])
        refused = run(checkout, *door, check=False, ROADSEG_PAGES="on")
        said = refused.stdout + refused.stderr
        assert refused.returncode == code, said
        assert f"data/raw/{mask.relative_to(checkout / 'data/raw').as_posix()}: cannot be decoded" in said
        assert not json.loads((checkout / "reports/verdict.json").read_text())["passed"]
        assert not (checkout / "data/manifest.parquet").exists()
        page = re.findall(r"page in MLflow: file://(.*data/data\.html)", said)[0]
        assert "Data refused" in Path(page).read_text()
        assert "Data refused" in (checkout / "reports/data.html").read_text()
        (checkout / "reports/data.html").unlink()
        assert in_cache(checkout, mask), "an edit reaches the cache through either door"
    shown, _ = sorted(shown_in_prefect(checkout))
    assert shown.startswith("## Data refused")
    assert f"In MLflow: `file://{page}`" in shown
    mask.write_bytes(content)
    run(checkout, "dvc", "repro", "-q", "validate")
    assert (checkout / "data/manifest.parquet").exists()


def test_a_wrong_key_of_evaluate_costs_no_other_stage(checkout: Path) -> None:
    change_params(checkout, {"evaluate": {"bacth": 3}})
    refused = run(checkout, "roadseg", "scan", check=False)
    assert refused.returncode == 2
    assert "params.yaml: evaluate.bacth: unknown key" in refused.stderr
    assert not (checkout / "data/scan.parquet").exists()

"""`roadseg data import` as a person uses it, with DVC itself."""

import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from trees import command_environment, make_checkout, run

from roadseg.cli.app import app
from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.manifest import read_manifest

TABLE = {
    "name": "mine",
    "source": "color",
    "void_colors": [[0, 0, 0]],
    "classes": [
        {"id": 0, "name": "ground", "color": [128, 64, 128]},
        {"id": 1, "name": "rest", "color": [70, 70, 70], "protected": True},
    ],
}


def drive(root: Path, name: str, color: tuple[int, int, int] = (70, 70, 70)) -> Path:
    """A drive of two frames in folders, its masks half ground and half of a colour."""
    for number in range(2):
        for folder in ("images", "masks"):
            (root / folder / name).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng([ord(name[-1]), number]).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(noise).save(root / "images" / name / f"{number}.png")
        mask = np.full((8, 8, 3), color, np.uint8)
        mask[4:] = (128, 64, 128)
        Image.fromarray(mask).save(root / "masks" / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with three drives of folders in colours, imported and then scanned; the next test adds one."""
    folder = tmp_path_factory.mktemp("import")
    tree = make_checkout(folder / "tree")
    (tree / "mine.yaml").write_text(yaml.safe_dump(TABLE))
    for name in "abc":
        drive(folder / "source", name)
    told = ("--layout", "folders", "--classes", "mine.yaml", "--name", "streets")
    done = run(tree, "roadseg", "data", "import", "../source", *told)
    assert "data/raw holds source (layout folders, classes mine); next: dvc repro" in done.stdout
    assert "roadseg models pretrained lite0 (" in done.stdout.splitlines()[-1]
    scan = yaml.safe_load((tree / "params.yaml").read_text())["scan"]
    assert (scan["layout"], scan["dataset"]) == ("folders", "streets")
    run(tree, "dvc", "repro", "-q", "scan")
    return tree


def test_an_import_killed_at_random_keeps_the_old_data_and_the_next_is_whole(
    checkout: Path, scenes: Path, background: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    raw, chance = checkout / "data/raw", random.Random(3)
    old = {path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()}
    new = Path(shutil.copytree(scenes, checkout.parent / "new"))
    first = min((new / "leftImg8bit/train").glob("*/*"))
    first.write_bytes(first.read_bytes() + b"more")
    command = ["roadseg", "data", "import", str(new)]
    undisturbed = Path(shutil.copytree(checkout, checkout.parent / "undisturbed", symlinks=True))
    begun = time.monotonic()
    run(undisturbed, *command)
    takes, hits = time.monotonic() - begun, 0
    for _ in range(4):
        running = background(command, cwd=checkout, env=command_environment(checkout), stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 0.9) * takes)
        running.send_signal(signal.SIGKILL)
        hits += running.wait() == -signal.SIGKILL
    assert hits >= 2  # some may have been faster
    run(checkout, *command)
    for name in (
        "raw.dvc",
        "classes.yaml",
        "reference.json",
        "quarantine.csv",
        "splits.csv",
    ):  # raw.dvc is the digest of all files
        assert (checkout / "data" / name).read_bytes() == (undisturbed / "data" / name).read_bytes()
    run(checkout, "git", "checkout", "-q", "data/raw.dvc")
    run(checkout, "dvc", "checkout", "-q", "--force", "data/raw.dvc")
    assert {path.relative_to(raw): path.read_bytes() for path in raw.rglob("*") if path.is_file()} == old


def cache(tree: Path) -> set[str]:
    """Digests of all that DVC keeps."""
    objects = (tree / ".dvc/cache/files/md5").glob("*/*")
    return {path.parent.name + path.name for path in objects}


def samples(tree: Path) -> dict[str, dict[str, object]]:
    return {row["image"]: row for row in read_manifest(tree / "data/scan.parquet", "scan").records()}


def test_a_drive_is_added_and_dvc_takes_what_is_new_alone(tree: Path, tmp_path: Path) -> None:
    before, digest, cached = samples(tree), (tree / "data/raw.dvc").read_text(), cache(tree)
    drive(drive(tmp_path / "more", "a"), "d", color=(1, 2, 3))
    done = run(tree, "roadseg", "data", "import", str(tmp_path / "more"), "--add")
    assert "data/raw: 4 new files of more added, 4 were there; next: dvc repro" in done.stdout
    assert (tree / "data/raw.dvc").read_text() != digest
    assert json.loads(run(tree, "dvc", "status", "--json", "data/raw.dvc").stdout) == {}
    new = {hashlib.md5(path.read_bytes()).hexdigest() for path in (tree / "data/raw").glob("*/d/*")}
    assert {name for name in cache(tree) - cached if not name.endswith(".dir")} == new
    run(tree, "dvc", "repro", "-q", "scan")
    after = samples(tree)
    assert before.items() <= after.items()
    assert {row["dataset"] for row in after.values()} == {"streets"}
    unknown = {name: row["invalid_ids"] for name, row in after.items() if row["invalid_ids"]}
    assert unknown == {f"images/d/{number}.png": [0x010203] for number in range(2)}


def test_what_would_replace_a_file_ends_with_three_and_changes_nothing(tree: Path, tmp_path: Path) -> None:
    before = (tree / "data/raw.dvc").read_text()
    drive(drive(tmp_path / "more", "e"), "a", color=(0, 0, 0))
    done = run(tree, "roadseg", "data", "import", str(tmp_path / "more"), "--add", check=False)
    assert done.returncode == 3
    assert re.search(r"data/raw/masks/a/0\.png: .*more has a different file of that name", done.stderr)
    assert not (tree / "data/raw/images/e").exists()
    assert (tree / "data/raw.dvc").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--layout", "kitti"), 2, "no layout 'kitti': there are auto, idd-lite, idd-20k, numbered, folders"),
        (("--layout", "numbered"), 3, "source is not laid out as numbered: Image_<n>.png"),
        (("--classes", "kitti"), 2, "no class table 'kitti': give a .yaml file or one of idd-level1"),
        (("--images", "images/{name}.png", "--masks", "masks/{id}.png"), 2, "{name} in 'images/{name}.png' is none of"),
        (("--images", "images/{id}.png"), 2, "give both patterns or none"),
    ],
)
def test_a_faulty_command_is_refused_in_one_line(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    before = (tree / "params.yaml").read_text()
    monkeypatch.chdir(tree)
    with pytest.raises(RoadsegError) as caught:
        app(["data", "import", "../source", *arguments], standalone_mode=False)
    assert caught.value.exit_code == code
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tree / "params.yaml").read_text() == before

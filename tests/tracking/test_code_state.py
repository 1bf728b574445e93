"""What goes to MLflow of the tree's own code."""

from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from trees import commit

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.pipeline.git import GitState, git_state
from roadseg.tracking.leaks import secret_in
from roadseg.tracking.origin import LEAK, WHOLE, _kept
from roadseg.tracking.publish import _send_code, publish
from roadseg.tracking.store import find_or_create_run


def test_of_a_monorepo_only_the_tree_is_told_and_nothing_where_that_is_wanted(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tree", "sibling"):
        (tmp_path / "repository" / name).mkdir(parents=True)
        (tmp_path / "repository" / name / "file").write_text("before\n")
    commit(tmp_path / "repository", "start")
    (tmp_path / "repository/sibling/file").write_text("password\n")
    (tmp_path / "repository/tree/file").write_text("after\n")
    run_id, silent = (find_or_create_run(client, letter * 64).info.run_id for letter in "ab")
    state = git_state(tmp_path / "repository/tree")
    _send_code(client, run_id, state)
    monkeypatch.setenv("ROADSEG_DIFF", "off")
    _send_code(client, silent, state)
    assert [entry.path for entry in client.list_artifacts(run_id, "code")] == ["code/uncommitted.diff"]
    assert "+after" in mlflow.artifacts.load_text(f"runs:/{run_id}/code/uncommitted.diff")
    assert not [path for path in home().rglob("*") if path.is_file() and b"password" in path.read_bytes()]
    assert not client.list_artifacts(silent)
    assert client.get_run(silent).data.tags["git.dirty"] == "true"


def test_what_git_cannot_read_is_not_published_as_no_commit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"safe\.directory"):
        publish(tmp_path, GitState("", True, "", "`git config --global --add safe.directory here`"))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("-----BEGIN RSA " + "PRIVATE KEY-----", "a private key in x/settings.py"),
        ('key = "AKIA' + "Q" * 16 + '"', "a key of AWS in x/settings.py"),
        ("MLFLOW_TRACKING_PASSWORD=" + "hunter2hunter2", "a password in x/settings.py"),
        ('db_password: "' + 'correct-horse"', "a password in x/settings.py"),
        ("url = postgresql://roadseg:" + "battery@db/mlflow", "an address with a password in x/settings.py"),
        ("of the environment: staple-staple", "a secret of the environment in x/settings.py"),
        ("password = read_password(path)", ""),
        ("token = os.environ['ROADSEG_SERVE_TOKEN']", ""),
        ("AWS_SECRET_ACCESS_KEY: ${AWS_SECRET_ACCESS_KEY}", ""),
        ("weights: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ""),
    ],
)
def test_a_secret_that_nobody_has_committed_does_not_go_to_mlflow(
    client: MlflowClient, line: str, found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "staple-staple")
    diff = f"--- a/x/settings.py\n+++ b/x/settings.py\n@@ -1 +1 @@\n-password = of the past\n+{line}\n"
    assert secret_in(diff) == found
    run_id = find_or_create_run(client, "c" * 64).info.run_id
    _send_code(client, run_id, GitState("", True, diff))
    assert bool(client.list_artifacts(run_id, "code")) is not bool(found)
    assert (found in capsys.readouterr().err) if found else True
    assert _kept(GitState("", True, diff)) == (LEAK if found else WHOLE)

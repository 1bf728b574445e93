"""A run holds one training: files of two of them are never sent to one."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from small_training import PARAMS
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.bundle import Bundle, Surroundings
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import read_evaluation, write_evaluation
from roadseg.contracts.files import digest_file, home
from roadseg.tracking.publish import publish
from roadseg.tracking.store import create_run, find_or_create_run, find_runs
from roadseg.tracking.training_run import claim_run
from roadseg.train.params import Resolved
from roadseg.train.run.fingerprint import Identity

ONE, TWO, FINGERPRINT = "a" * 64, "b" * 64, "f" * 64
KNOWN = Surroundings("tensorflow", "2.21.0", "3.15.1", "avx512_core_amx", "bfloat16", 2)
Tree = Callable[..., Path]


@pytest.fixture(autouse=True)
def _light(light_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures either: these tests are about which run a model goes to."""
    monkeypatch.setenv("ROADSEG_PICTURES", "off")


@pytest.fixture
def machine(place: Any, tmp_path: Path) -> Tree:
    """A checkout of a machine's own, as if it had trained these weights."""

    def make(weights: str, **card: Any) -> Path:
        tree = tmp_path / weights[:8]
        shutil.copytree(place.tree, tree, symlinks=True, ignore=shutil.ignore_patterns("raw", ".roadseg"))
        change_card(tree, weights=weights, history=digest_file(tree / "reports/history.csv"), **card)
        evaluated = replace(read_evaluation(tree / "reports/evaluation"), weights=weights)
        write_evaluation(tree / "reports/evaluation", evaluated)
        return tree

    return make


def change_card(tree: Path, **changes: Any) -> None:
    path = tree / "models/bundle/card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_two_machines_with_one_fingerprint_do_not_share_a_run(client: MlflowClient, machine: Tree) -> None:
    one, two = machine(ONE), machine(TWO)
    first = publish(one)
    before = client.get_run(first.run_id).data.to_dictionary()
    with pytest.raises(UsageError, match=f"holds the weights {ONE[:12]}.*has {TWO[:12]}.*publish --as-new"):
        publish(two)
    assert client.get_run(first.run_id).data.to_dictionary() == before
    second = publish(two, as_new=True)
    assert second.run_id != first.run_id
    assert second.fingerprint == first.fingerprint
    assert publish(two) == publish(two, as_new=True) == second
    assert publish(one) == first
    for sent, weights in ((first, ONE), (second, TWO)):
        tags = client.get_run(sent.run_id).data.tags
        assert (tags["roadseg.fingerprint"], tags["roadseg.weights"]) == (sent.fingerprint, weights)
        assert client.get_logged_model(sent.model_id).name == f"model-{weights[:12]}"
        card = mlflow.artifacts.load_dict(f"runs:/{sent.run_id}/bundle/card.json")
        assert card["weights"] == weights
    assert len(find_runs(client, first.fingerprint)) == 2


def test_the_verb_has_the_way_out(client: MlflowClient, machine: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(machine(ONE))
    monkeypatch.chdir(machine(TWO))
    done = CliRunner().invoke(app, ["publish"])
    assert isinstance(done.exception, UsageError)
    assert CliRunner().invoke(app, ["publish", "--as-new"]).exit_code == 0


def test_an_upgrade_is_a_run_of_its_own_and_each_says_what_it_was_trained_with(
    client: MlflowClient, machine: Tree
) -> None:
    def trained(known: Surroundings) -> dict[str, object]:
        identity = Identity("d" * 64, Resolved(**PARAMS), {}, known)
        return {"fingerprint": identity.fingerprint, **asdict(known)}

    before = publish(machine(ONE, **trained(KNOWN)))
    after = publish(machine(TWO, **trained(replace(KNOWN, keras="3.15.2"))))
    assert before.run_id != after.run_id
    for sent, keras in ((before, "3.15.1"), (after, "3.15.2")):
        params = client.get_run(sent.run_id).data.params
        wanted = {key: str(value) for key, value in asdict(replace(KNOWN, keras=keras)).items()}
        assert wanted.items() <= params.items()


def test_a_run_that_a_follower_made_is_taken(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, FINGERPRINT).info.run_id
    assert claim_run(client, FINGERPRINT, ONE) == claim_run(client, FINGERPRINT, ONE) == run_id
    assert [run.info.run_id for run in find_runs(client, FINGERPRINT)] == [run_id]


def test_as_new_makes_no_run_where_none_holds_other_weights(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, FINGERPRINT).info.run_id
    assert claim_run(client, FINGERPRINT, ONE, as_new=True) == run_id


def test_a_follower_goes_on_with_the_first_run_and_publish_sends_the_rest_to_its_own(
    client: MlflowClient, machine: Tree, place: Any
) -> None:
    one, two = machine(ONE), machine(TWO)
    first = publish(one)
    assert not [key for key in client.get_run(first.run_id).data.metrics if key.startswith("pace.")]
    time.sleep(0.01)  # MLflow's clock has steps of a millisecond
    journals = shutil.ignore_patterns("sent*", "pictured")
    shutil.copytree(place.home / "runs", home() / "runs", ignore=journals, dirs_exist_ok=True)
    with pytest.raises(UsageError, match="--as-new"):
        publish(two)
    second = publish(two, as_new=True)
    sent = [
        {key for key in client.get_run(run_id).data.metrics if key.startswith(("pace.", "system/"))}
        for run_id in (first.run_id, second.run_id)
    ]
    assert not sent[0]
    assert sent[1]
    assert find_or_create_run(client, first.fingerprint).info.run_id == first.run_id


@pytest.mark.parametrize("weights", [ONE, TWO])
def test_a_run_of_an_earlier_version_is_known_by_its_bundle(client: MlflowClient, tmp_path: Path, weights: str) -> None:
    run_id = create_run(client, FINGERPRINT).info.run_id
    client.log_dict(run_id, {"weights": ONE}, "bundle/card.json")
    if weights == ONE:
        assert claim_run(client, FINGERPRINT, weights) == run_id
        assert client.get_run(run_id).data.tags["roadseg.weights"] == ONE
    else:
        with pytest.raises(UsageError, match=f"{ONE[:12]}.*{TWO[:12]}"):
            claim_run(client, FINGERPRINT, weights)


def test_a_model_of_the_run_that_has_another_name_or_is_not_whole_is_not_taken(
    client: MlflowClient, machine: Tree
) -> None:
    tree = machine(ONE)
    fingerprint = Bundle.open(tree / "models/bundle").card["fingerprint"]
    run = find_or_create_run(client, fingerprint).info
    made = []
    for name, status in (("model", "READY"), (f"model-{ONE[:12]}", "FAILED")):
        model = client.create_logged_model(run.experiment_id, name, run.run_id)
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, 0)])
        client.finalize_logged_model(model.model_id, status)
        made.append(model.model_id)
    sent = publish(tree)
    assert sent.run_id == run.run_id
    assert sent.model_id not in made
    assert publish(tree).model_id == sent.model_id
    client.delete_logged_model(sent.model_id)
    assert publish(tree).model_id not in (sent.model_id, *made)


def other_history(tree: Path) -> None:
    path = tree / "reports/history.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))


def other_shards(tree: Path) -> None:
    with (tree / "data/shards/shards.json").open("a") as opened:
        opened.write("\n")


def other_bundle(tree: Path) -> None:
    change_card(tree, weights=TWO)


def other_val_data(tree: Path) -> None:
    evaluated = read_evaluation(tree / "reports/evaluation")
    write_evaluation(tree / "reports/evaluation", replace(evaluated, val_manifest="d" * 64))


@pytest.mark.parametrize(
    ("swap", "said"),
    [
        (other_history, "reports/history.csv does not belong to models/bundle/card.json"),
        (other_shards, "data/shards/shards.json does not belong to models/bundle/card.json"),
        (other_bundle, "reports/evaluation does not belong to models/bundle/card.json"),
        (other_val_data, "reports/evaluation does not belong to data/manifest.parquet"),
    ],
)
def test_files_of_two_trainings_are_refused_before_anything_is_sent(
    client: MlflowClient, machine: Tree, swap: Callable[[Path], None], said: str
) -> None:
    tree = machine(ONE)
    swap(tree)
    with pytest.raises(UsageError, match=f"{said}: digest .* run `dvc repro`"):
        publish(tree)
    assert not client.search_experiments(filter_string="name = 'roadseg'")


def test_what_an_older_schema_does_not_say_is_not_asked_for(client: MlflowClient, machine: Tree) -> None:
    tree = machine(ONE)
    change_card(tree, schema="roadseg/bundle/1", history=None)
    write_evaluation(tree / "reports/evaluation", replace(read_evaluation(tree / "reports/evaluation"), weights=None))
    shutil.rmtree(tree / "data/shards")
    other_history(tree)
    assert publish(tree).weights == ONE

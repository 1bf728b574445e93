from pathlib import Path

import pytest
from contenders import Contenders
from servers import free_port

from roadseg.registry.versions import CHAMPION, MODEL
from roadseg.registry.watch import Watch


def test_an_alias_that_moves_is_seen_with_its_bundle(contenders: Contenders) -> None:
    watch = Watch([CHAMPION])
    first, second = contenders.enter(0.2), contenders.enter(0.1)
    assert watch.look() == {"found": {CHAMPION: None}, "problem": ""}
    for version in (first, second):
        contenders.client.set_registered_model_alias(MODEL, CHAMPION, str(version))
        found = watch.look()["found"][CHAMPION]
        assert (found["version"], found["weights"]) == (version, contenders.entered[version].weights)
        assert (Path(found["folder"]) / "model.keras").is_file()


def test_without_an_answer_the_problem_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    said = Watch([CHAMPION]).look()
    assert said["found"] == {}
    assert "does not answer" in said["problem"]

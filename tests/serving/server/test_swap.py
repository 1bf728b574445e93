import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
from served import Answer, Served, enter, picture, shifted, waited

from roadseg.gate.shadow import read_shadow
from roadseg.imaging.pixels import decode_image
from roadseg.predict.predictor import Predictor
from roadseg.registry.versions import CANDIDATE, MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Champion

SENT = picture(5)


@dataclass
class Load:
    """What clients got that ask without a pause; `lost` are requests without an answer."""

    answers: list[Answer] = field(default_factory=list)
    lost: list[Exception] = field(default_factory=list)

    def versions(self) -> Counter[str]:
        return Counter(answer.headers["x-roadseg-version"] for answer in self.answers if answer.status == 200)


@contextmanager
def loaded(served: Served, clients: int = 4) -> Iterator[Load]:
    load, over = Load(), Event()

    def ask() -> None:
        while not over.is_set():
            try:
                load.answers.append(served.predict(SENT))
            except (OSError, HTTPException) as error:
                load.lost.append(error)
            if load.answers and load.answers[-1].status != 200:
                time.sleep(0.1)

    with ThreadPoolExecutor(clients) as pool:
        asking: list[Future[None]] = [pool.submit(ask) for _ in range(clients)]
        try:
            yield load
        finally:
            over.set()
        for each in asking:
            each.result()


def processes(served: Served, module: str = "server.worker") -> list[int]:
    """Process ids of those that run a module; those that predict."""
    below = psutil.Process(served.process.pid).children(recursive=True)
    return [each.pid for each in below if any(module in part for part in each.cmdline())]


def test_the_alias_is_followed_under_load_and_no_request_fails(champion: "Champion") -> None:
    expected = {
        str(version): next(Predictor(champion.bundles[version], precision="auto")([decode_image(SENT)]))
        for version in (1, 2)
    }
    before = champion.served.version()
    with loaded(champion.served) as load:
        waited(lambda: load.versions()["1"])
        champion.promote(2)
        waited(lambda: load.versions()["2"], champion.served)
        time.sleep(0.3)
    assert not load.lost
    assert {answer.status for answer in load.answers} == {200}
    for answer in load.answers:
        np.testing.assert_array_equal(answer.ids, expected[answer.headers["x-roadseg-version"]])
    after = champion.served.version()
    assert (before["version"], after["version"], after["swaps"]) == (1, 2, before["swaps"] + 1)
    assert 'roadseg_model_version{version="2",weights="' in champion.served.get("/metrics").body.decode()
    waited(lambda: len(processes(champion.served)) == 1, champion.served)  # the old one has ended


def test_a_version_that_does_not_load_changes_nothing(champion: "Champion", tmp_path: "Path") -> None:
    bundle = shifted(tmp_path / "broken", 4)
    (bundle.folder / "model.keras").write_bytes(b"no model")
    broken = enter(champion.client, bundle)
    champion.promote(broken)
    try:
        failed = waited(lambda: champion.served.version()["failed"], champion.served)
        assert failed["version"] == broken
        assert "no zip file" in failed["error"]
        assert champion.served.predict(SENT).status == 200
        assert champion.served.version()["version"] != broken
        assert "roadseg_load_failures 0.0" not in champion.served.get("/metrics").body.decode()
    finally:
        champion.promote(2)


def test_a_version_with_other_weights_than_registered_is_never_opened(champion: "Champion", tmp_path: "Path") -> None:
    other = enter(champion.client, shifted(tmp_path / "other", 5), weights="f" * 64)
    champion.promote(other)
    try:
        found = waited(lambda: champion.served.version()["registry"]["problem"], champion.served)
        assert "registered with the weights ffffffffffff" in found
        assert champion.served.predict(SENT).status == 200
    finally:
        champion.promote(2)


def test_a_killed_process_is_replaced_and_whoever_waited_is_told(champion: "Champion") -> None:
    served = champion.served
    with loaded(served, clients=8) as load:
        waited(lambda: len(load.answers) > 8)
        for pid in processes(served):
            os.kill(pid, signal.SIGKILL)
        waited(lambda: any(answer.status == 503 for answer in load.answers), served)
        waited(served.ready, served)
        seen = len(load.answers)
        waited(lambda: any(answer.status == 200 for answer in load.answers[seen:]), served)
    assert not load.lost
    assert {answer.status for answer in load.answers} == {200, 503}
    assert served.version()["restarts"] == 1


def test_without_the_registry_what_is_served_goes_on(champion: "Champion") -> None:
    served = champion.served
    for pid in processes(served, "registry.watch"):
        os.kill(pid, signal.SIGKILL)
    waited(lambda: "ended with" in (served.version()["registry"]["problem"] or ""), served)
    assert "roadseg_registry_up 0.0" in served.get("/metrics").body.decode()
    assert served.predict(SENT).status == 200
    waited(lambda: not served.version()["registry"]["problem"], served)


def test_a_candidate_sees_requests_too_and_frames_are_kept(champion: "Champion") -> None:
    served, bundles = champion.served, champion.bundles
    serving = served.version()["version"]
    champion.client.set_registered_model_alias(MODEL, CANDIDATE, "3")
    waited(lambda: served.version()["shadow"]["version"] == 3, served)

    def compared() -> float:
        found = re.search(r"^roadseg_shadow_pictures_total (\S+)", served.get("/metrics").body.decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    before, sent = compared(), [picture(number) for number in range(100, 104)]
    for each in sent:
        assert served.predict(each).status == 200
    waited(lambda: compared() == before + len(sent), served)
    images = [decode_image(each) for each in sent]
    ids = [list(Predictor(bundles[version], precision="auto")(images)) for version in (serving, 3)]
    expected = np.zeros((7, 7), np.int64)
    np.add.at(expected, (np.stack(ids[0]), np.stack(ids[1])), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_HOME", str(champion.home))
        found = waited(lambda: (known := read_shadow(serving, 3)) and known.pictures >= len(sent) and known, served)
    assert found.candidate_weights == bundles[3].card["weights"]
    np.testing.assert_array_equal(found.counts, expected)
    kept = [json.loads(path.read_text()) for path in (champion.home.parent / "frames").glob("*.json")]
    assert {about["policy"] for about in kept} <= {"uniform", "uncertain", "rare", "disagreement"}
    assert serving in {about["version"] for about in kept}

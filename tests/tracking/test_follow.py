import json
import shutil
import socket
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import home
from roadseg.pipeline import sidecars
from roadseg.tracking.follow import follow, send_unsent
from roadseg.tracking.sidecars import following
from roadseg.tracking.store import find_run
from roadseg.train.run.journal import Journal, run_folder
from roadseg.train.run.watched import write_guess, write_watched

FINGERPRINT = "f" * 64


@pytest.fixture
def folder() -> Path:
    """A run folder whose journal tells of two epochs."""
    folder = run_folder(home(), FINGERPRINT)
    journal = Journal(folder)
    journal.note("start")
    journal.metric(1, {"loss": 1.0, "iou.sky": float("nan")})
    journal.metric(2, {"loss": 0.5, "iou.sky": 0.25})
    return folder


def history(client: MlflowClient, key: str) -> list[tuple[int, float]]:
    run = find_run(client, FINGERPRINT)
    return sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)) if run else []


def journal_times(folder: Path) -> list[int]:
    return [json.loads(line)["t"] for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_metrics_arrive_with_step_and_time(client: MlflowClient, folder: Path) -> None:
    assert send_unsent(folder) == 3
    assert history(client, "loss") == [(1, 1.0), (2, 0.5)]
    assert history(client, "iou.sky") == [(2, 0.25)]
    run = find_run(client, FINGERPRINT)
    assert run is not None
    assert run.info.status == "RUNNING"
    sent = [entry.timestamp for entry in client.get_metric_history(run.info.run_id, "loss")]
    assert sent == journal_times(folder)[1:]


def test_a_training_that_is_done_ends_its_run(client: MlflowClient, folder: Path) -> None:
    send_unsent(folder)
    Journal(folder).note("done")
    send_unsent(folder)
    run = find_run(client, FINGERPRINT)
    assert run is not None
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("lost", [False, True])
def test_nothing_is_sent_twice(client: MlflowClient, folder: Path, lost: bool) -> None:
    send_unsent(folder)
    if lost:
        (folder / "sent").unlink()
    assert send_unsent(folder) == (3 if lost else 0)
    Journal(folder).metric(3, {"loss": 0.25})
    assert send_unsent(folder) == 1
    assert history(client, "loss") == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_a_restarted_training_repeats_no_step(client: MlflowClient, folder: Path) -> None:
    send_unsent(folder)
    again = Journal(folder)
    for step, loss in ((1, 1.0), (2, 0.5), (3, 0.25)):
        again.metric(step, {"loss": loss})
    send_unsent(folder)
    assert history(client, "loss") == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_half_a_line_waits_for_its_end(client: MlflowClient, folder: Path) -> None:
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert send_unsent(folder) == 2
    path.write_bytes(whole)
    assert send_unsent(folder) == 1
    assert history(client, "loss") == [(1, 1.0), (2, 0.5)]


def test_what_a_dead_server_missed_arrives_later(
    folder: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (folder / "sent").write_text("0")
    with pytest.raises(RoadsegError, match="does not answer"):
        send_unsent(folder)
    assert (folder / "sent").read_text() == "0"
    living = shutil.copy2(empty_store, folder / "living.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{living}")
    monkeypatch.chdir(folder)
    assert send_unsent(folder) == 3
    assert history(MlflowClient(), "loss") == [(1, 1.0), (2, 0.5)]


def pictures(client: MlflowClient) -> list[str]:
    run = find_run(client, FINGERPRINT)
    found = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")] if run else []
    return sorted(path.partition("+timestamp")[0] for path in found if path.endswith("+compressed.webp"))


@pytest.fixture
def watched(folder: Path, idd_level1: ClassTable) -> Path:
    """A run folder that knows what was seen after epochs 1 and 2, but 2 is gone from the disk."""
    journal = Journal(folder)
    write_watched(folder, np.full((2, 4, 8, 3), 9, np.uint8), np.zeros((2, 4, 8), np.uint8), idd_level1)
    write_guess(folder, 1, np.ones((2, 2, 4), np.uint8))
    for step in (1, 2):
        journal.image(step)
    return folder


@pytest.mark.parametrize("lost", [False, True])
def test_pictures_of_watched_images_arrive_once(client: MlflowClient, watched: Path, lost: bool) -> None:
    send_unsent(watched)
    if lost:
        (watched / "pictured").unlink()
    write_guess(watched, 3, np.ones((2, 2, 4), np.uint8))
    Journal(watched).image(3)
    send_unsent(watched)
    assert pictures(client) == ["images/monitored+step+1", "images/monitored+step+3"]


def test_pictures_wait_where_they_are_switched_off(
    client: MlflowClient, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as off:
        off.setenv("ROADSEG_PICTURES", "off")
        send_unsent(watched)
    assert pictures(client) == []
    assert history(client, "loss") == [(1, 1.0), (2, 0.5)]
    send_unsent(watched)
    assert pictures(client) == ["images/monitored+step+1"]


def test_a_picture_that_cannot_be_sent_holds_no_figure_up(
    client: MlflowClient, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_image", Mock(side_effect=ConnectionError("no room")))
        with pytest.raises(ConnectionError, match="no room"):
            send_unsent(watched)
        Journal(watched).metric(3, {"loss": 0.25})
        with pytest.raises(ConnectionError, match="no room"):
            send_unsent(watched)
    assert history(client, "loss") == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert send_unsent(watched) == 0
    assert pictures(client) == ["images/monitored+step+1"]


def test_the_machine_s_figures_arrive_as_system_metrics(client: MlflowClient, folder: Path) -> None:
    journal, key = Journal(folder), "system/gpu_0_utilization_percentage"
    for step in (1, 2):
        journal.system(step, {key: 97.0})
        send_unsent(folder)
    assert history(client, key) == [(1, 97.0), (2, 97.0)]
    (folder / "sent").unlink()
    send_unsent(folder)
    assert history(client, key) == [(1, 97.0), (2, 97.0)]


def test_one_bad_folder_does_not_stop_the_others(
    client: MlflowClient, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = run_folder(home(), "e" * 64)
    Journal(bad).metric(1, {"loss": 1.0})
    (bad / "sent").write_text("not a number")
    stop = threading.Event()
    stop.set()
    follow(home() / "runs", stop)
    assert history(client, "loss") == [(1, 1.0), (2, 0.5)]
    assert "warning: ValueError" in capsys.readouterr().out


def test_a_follower_beside_a_training_sends_what_it_writes(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sidecars, "PATIENCE", 500)  # it ends when told: it is not killed, however slow the machine is
    with following():
        Journal(run_folder(home(), FINGERPRINT)).metric(1, {"loss": 1.0})
        while not history(client, "loss"):
            time.sleep(0.2)
        Journal(run_folder(home(), FINGERPRINT)).metric(2, {"loss": 0.5})
    assert history(client, "loss") == [(1, 1.0), (2, 0.5)]


def test_a_server_that_never_answers_holds_no_training_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(psutil.Process().children())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(60)
        with following():
            connection, _ = silent.accept()  # the follower asks, and will wait for the answer
            [follower] = set(psutil.Process().children()) - before
            trained = time.monotonic()
        connection.close()
    assert time.monotonic() - trained < 12
    assert not follower.is_running()
    assert not (folder / "sent").exists()


def test_following_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_FOLLOW", "off")
    monkeypatch.setattr(sidecars.subprocess, "Popen", lambda *_, **__: pytest.fail("a follower was started"))
    with following():
        pass
    assert not home().exists()

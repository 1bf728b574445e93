import pytest

from roadseg.train.run.throughput import Throughput, described, seconds_left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("roadseg.train.run.throughput.time.monotonic", lambda: now[0])
    return now


def test_waiting_is_told_from_working(clock: list[float]) -> None:
    def data() -> object:
        for _ in range(4):
            clock[0] += 1
            yield object()

    throughput = Throughput()
    for _ in throughput.watch(data()):
        clock[0] += 3
        throughput.images += 8
    clock[0] += 10  # the score of the monitored drives is no step
    assert throughput.figures() == {"pace.images_per_second": 2.0, "pace.waiting": 0.25}
    assert throughput.seconds == 26


def test_an_epoch_that_goes_on_after_its_last_step_has_no_speed(clock: list[float]) -> None:
    assert list(Throughput().watch([])) == []
    assert Throughput().figures() == {}
    assert described({}, 0.0).endswith(" GB")


def test_what_is_left_counts_by_pixels() -> None:
    sizes = [(96, 192)] * 2 + [(128, 256)] * 3
    assert seconds_left(9.0, sizes, 1) == pytest.approx(9 + 3 * 16)
    assert seconds_left(16.0, sizes, 4) == pytest.approx(16)
    assert seconds_left(16.0, sizes, 5) == 0


def test_the_log_reads_like_a_sentence() -> None:
    said = described({"pace.images_per_second": 45.62, "pace.waiting": 0.0031}, 720)
    assert said.startswith("45.6 images/s, 0.3% waiting, ")
    assert said.endswith(" GB, 12 min left")

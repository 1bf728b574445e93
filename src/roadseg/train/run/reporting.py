"""What a training reports after each epoch: a line, its figures, and from time to time what it sees."""

import os

import numpy as np

from roadseg.train.data.batches import Pairs
from roadseg.train.run.journal import Journal, metric_names, read_journal
from roadseg.train.run.throughput import Throughput, described, seconds_left
from roadseg.train.run.watched import write_guess, write_watched

IMAGES, TIMES = 4, 10  # watched images, and how often they are shown


class Reporter:
    """Prints, and enters into the journal what is not there yet: after a kill an epoch may end twice, equally."""

    def __init__(self, journal: Journal, sizes: list[tuple[int, int]], monitored: Pairs) -> None:
        """Choose the images that are shown, and keep them beside the journal; with `ROADSEG_PICTURES=off` none.

        Args:
            journal: of the run.
            sizes: height and width of the images in each epoch.
            monitored: to choose from.
        """
        self._journal, self._sizes = journal, sizes
        self._entered = {(entry["kind"], entry.get("step")) for entry in read_journal(journal.folder)[0]}
        self.shown, self._pictured = list[int](), set[int]()
        if os.environ.get("ROADSEG_PICTURES") != "off":  # decided here, since any training's follower sends them
            self.shown, self._pictured = chosen(len(monitored), IMAGES), pictured_epochs(len(sizes), TIMES)
            images, masks = zip(*(monitored[number] for number in self.shown), strict=True)
            write_watched(journal.folder, np.stack(images), np.stack(masks), monitored.shards.classes)

    def after_epoch(self, row: dict[str, float], throughput: Throughput, guess: np.ndarray) -> None:
        """Report an epoch.

        Args:
            row: of the history.
            throughput: of the epoch.
            guess: uint8 (len(shown), h, w), ids in the images shown.
        """
        epoch, figures = int(row["epoch"]), throughput.figures()
        scores = f"loss {row['loss']:.4f}  monitored mIoU {row['miou']:.4f}"
        speed = described(figures, seconds_left(throughput.seconds, self._sizes, epoch))
        print(f"epoch {epoch}/{len(self._sizes)}  {scores}  {speed}", flush=True)
        if ("metric", epoch) not in self._entered:
            self._journal.metric(epoch, metric_names(row) | figures)
        if epoch in self._pictured and ("image", epoch) not in self._entered:
            write_guess(self._journal.folder, epoch, guess)
            self._journal.image(epoch)


def chosen(count: int, wanted: int) -> list[int]:
    """Numbers of at most `wanted` of `count` images, evenly spread."""
    wanted = min(wanted, count)
    return [number * count // wanted for number in range(wanted)]


def pictured_epochs(epochs: int, wanted: int) -> set[int]:
    """At most `wanted` + 1 epochs, the first and the last among them."""
    return {1} | {round(number * epochs / wanted) for number in range(1, wanted + 1)} - {0}

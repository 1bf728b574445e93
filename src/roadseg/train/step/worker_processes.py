"""The processes that train one model together, told of each other by Keras' own variables.

`python -m roadseg train` is started once on each host, in equal checkouts, with `KERAS_DISTRIBUTION_JOB_ADDRESSES`
(host:port of process 0), `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID` (0 and up). Process 0
alone writes. JAX carries what they tell each other; it is loaded where there are several.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from roadseg.contracts.errors import RoadsegError, UsageError

ADDRESSES, COUNT, RANK = (f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
PATIENCE = 30  # seconds for which a process that failed waits for the others, who may wait for it: then all are ended


@dataclass(frozen=True)
class WorkerProcesses:
    """Which of how many processes this is.

    Attributes:
        rank: of this process, from 0.
        count: of all.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def asked(cls) -> "WorkerProcesses":
        """What the environment says; nothing is loaded.

        Raises:
            UsageError: it says half of it, or what the backend cannot do.
        """
        count = os.environ.get(COUNT) or "1"
        if not count.isdecimal() or int(count) == 0:
            raise UsageError(f"{COUNT} is {count!r}: give the number of processes, from 1 on")
        if int(count) == 1:
            return cls()
        rank = os.environ.get(RANK, "")
        if not rank.isdecimal() or int(rank) >= int(count):
            raise UsageError(f"{RANK} is {rank!r}: give each of the {count} processes its own number from 0 on")
        if ":" not in os.environ.get(ADDRESSES, ""):
            raise UsageError(f"{ADDRESSES} is missing: give all processes host:port of process 0, any free port")
        if os.environ.get("KERAS_BACKEND") != "jax":
            raise UsageError(
                f"{COUNT}={count}, and TensorFlow trains in one process here: set KERAS_BACKEND=jax (`make setup "
                f"LOCK=jax` installs it), or unset {COUNT}"
            )
        return cls(int(rank), int(count))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """What this process makes of a batch."""
        share = batch // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def join(self) -> None:
        """Meet the others, before anything is computed; waits five minutes for them at most."""
        if self.count == 1:
            return
        import jax  # late: several processes are few people's

        # the service would take SIGTERM from `stopping`
        jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
        address = os.environ[ADDRESSES].partition(",")[0]
        with _ended_by_signals():
            # keras.distribution.initialize is this without the patience
            jax.distributed.initialize(
                address, self.count, self.rank, cluster_detection_method="deactivate", shutdown_timeout_seconds=PATIENCE
            )
        print(f"train: process {self.rank} of {self.count} has met the others at {address}", flush=True)

    def any(self, flag: bool) -> bool:
        """Whether one of the processes says so; all come to this together."""
        return any(self._gathered(np.array([flag])))

    def from_first(self, data: bytes) -> bytes:
        """What process 0 has, in each."""
        if self.count == 1:
            return data
        from jax.experimental.multihost_utils import broadcast_one_to_all

        length = int(broadcast_one_to_all(np.int32(len(data)), is_source=self.first))
        own = np.frombuffer(data if self.first else bytes(length), np.uint8)
        return bytes(np.asarray(broadcast_one_to_all(own, is_source=self.first)))

    def check_equal(self, fingerprint: str) -> None:
        """Hold the fingerprints of all against each other.

        Raises:
            UsageError: they train different things.
        """
        if fingerprint != (first := self.from_first(fingerprint.encode()).decode()):
            differs = f"process {self.rank} has fingerprint {fingerprint[:8]} and process 0 {first[:8]}"
        else:
            differs = "another process has another fingerprint"
        if self.any(fingerprint != first):
            raise UsageError(f"{differs}: give all hosts equal code, params.yaml, data/shards and KERAS_BACKEND")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what each process does by itself: where one fails, all end.

        Raises:
            RoadsegError: another failed.
        """
        try:
            yield
        except BaseException:
            self.any(True)
            raise
        if self.any(False):
            raise RoadsegError("another process of this training failed and says why")

    def _gathered(self, own: np.ndarray) -> list[bool]:
        if self.count == 1:
            return [bool(own[0])]
        from jax.experimental.multihost_utils import process_allgather

        return [bool(each) for each in np.ravel(process_allgather(own))]


SINGLE_PROCESS = WorkerProcesses()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Around a wait outside Python, which would hear of a signal at its end: nothing is lost by ending."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

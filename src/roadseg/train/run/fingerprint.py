"""What makes a training the very same: on a CPU, trainings of one fingerprint end with equal bytes."""

from dataclasses import asdict, dataclass

from roadseg.contracts.bundle import Surroundings
from roadseg.contracts.files import code_digests, digest_of
from roadseg.machine.backend import backend_version
from roadseg.machine.hardware import capabilities
from roadseg.machine.instruction_set import instruction_set
from roadseg.train.params import Resolved


@dataclass(frozen=True)
class Identity:
    """All that a training's bytes follow from.

    Attributes:
        data: digest of shards.json.
        params: without `auto`.
        code: digests by path.
        surroundings: backend, versions and processor, which decide how sums are rounded.
    """

    data: str
    params: Resolved
    code: dict[str, str]
    surroundings: Surroundings

    @property
    def fingerprint(self) -> str:
        """Sha256 of it all, hex."""
        return digest_of([self.data, self.params.model_dump(), self.code, asdict(self.surroundings)])


def identify(data: str, params: Resolved) -> Identity:
    """The identity of a training with this code, on this machine."""
    import keras  # late: it takes seconds, and reads what `params.resolve` settles

    machine = instruction_set(capabilities())
    surroundings = Surroundings(*backend_version(), keras.__version__, machine, params.precision, params.threads)
    return Identity(data, params, code_digests("contracts", "train"), surroundings)

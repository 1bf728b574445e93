"""What makes a training the very same: on a CPU, trainings of one fingerprint end with equal bytes."""

import os
from dataclasses import asdict, dataclass
from importlib import import_module

from roadseg.contracts.bundle import Surroundings
from roadseg.contracts.files import code_digests, digest_of
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

    backend = keras.backend.backend()
    version = import_module(backend).__version__
    if backend == "jax":
        version += f" with jaxlib {import_module('jaxlib').__version__}"
    machine = instruction_set(capabilities())
    if backend == "tensorflow" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        machine += " without oneDNN"  # it then sums in another order
    surroundings = Surroundings(backend, version, keras.__version__, machine, params.precision, params.threads)
    return Identity(data, params, code_digests("contracts", "train"), surroundings)

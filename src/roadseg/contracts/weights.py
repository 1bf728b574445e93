"""weights.npz of a bundle: the weights as they were trained, for a training that starts from them.

The bundle's model is rebuilt to be fast and may have fewer; these have every variable under its path. A contract, since
the stage writes and reads them and the registry, which must not load a model, fetches them.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import as_json, check_schema, digest_file, home, replacing

NAME, META = "weights.npz", "meta"
REMEDY = "roadseg models init champion"
ENCODER = "pretrained/"  # before an encoder's name, where weights of a training have its fingerprint
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Weights:
    """The weights that a training ended with, or those of a pretrained encoder.

    Attributes:
        digest: sha256 of the file, hex.
        fingerprint: of that training; of an encoder `ENCODER` and its name.
        model: its name in params.yaml.
        classes: their names, in the order of the output; none of an encoder.
        arrays: by the variable's path; any shape, floating point.
    """

    digest: str
    fingerprint: str
    model: str
    classes: list[str]
    arrays: Arrays

    @property
    def pretrained(self) -> bool:
        """Whether they are an encoder's alone."""
        return self.fingerprint.startswith(ENCODER)

    @classmethod
    def open(cls, path: Path) -> "Weights":
        """Read a file of `write_weights`.

        Raises:
            UsageError: it is absent, damaged or of another schema.
        """
        try:
            data = path.read_bytes()  # NumPy leaves a damaged file open
            with np.load(io.BytesIO(data), allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            meta = json.loads(arrays.pop(META).tobytes())
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UsageError(f"{path} cannot be read ({error}): run `dvc repro train`, or take another model") from None
        check_schema(path, meta.get("schema"), "weights", "dvc repro train")
        return cls(hashlib.sha256(data).hexdigest(), meta["fingerprint"], meta["model"], meta["classes"], arrays)


def write_weights(path: Path, arrays: Arrays, *, fingerprint: str, model: str, classes: list[str]) -> str:
    """Write weights; equal ones give equal bytes.

    Args:
        path: the file.
        arrays: by the variable's path.
        fingerprint, model, classes: see `Weights`.

    Returns:
        Sha256 of the file, hex.
    """
    meta = as_json("weights", {"fingerprint": fingerprint, "model": model, "classes": classes})
    with replacing(path) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **{META: np.frombuffer(meta.encode(), np.uint8)}, **arrays)  # type: ignore[arg-type]
    return digest_file(path)


def keep_weights(source: Path) -> str:
    """Copy weights to where `train.init` finds them.

    Returns:
        Their digest.

    Raises:
        UsageError: the file is absent or damaged.
    """
    digest = Weights.open(source).digest
    with replacing(_place(digest)) as temporary:
        temporary.write_bytes(source.read_bytes())
    return digest


def find_weights(digest: str, pretrained: str = "") -> Weights:
    """The weights that `train.init` names.

    Args:
        digest: of their file.
        pretrained: name of the model, if its encoder can be had pretrained, for the error message.

    Raises:
        UsageError: they are not in home, or not what they were; says what to run.
    """
    path = _place(digest)
    remedy = f"roadseg models pretrained {pretrained}" if pretrained else REMEDY
    if not path.exists():
        other = f", or `{REMEDY}`" if pretrained else ", or"
        raise UsageError(
            f"params.yaml: train.init: the weights {digest[:12]} are not in {path.parent}: run `{remedy}`{other} with "
            "the version or bundle that they came from, or set it to none"
        )
    if digest_file(path) != digest:
        raise UsageError(f"{path} is not what was copied: delete it and run `{remedy}` again")
    return Weights.open(path)


def kept_encoders() -> dict[str, str]:
    """Names of the pretrained encoders that `train.init` would find, by digest; a damaged file is none."""
    found = {}
    for path in sorted(_place("").parent.glob("*.npz")):
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
                meta = json.loads(content[META].tobytes())
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            continue
        if str(meta.get("fingerprint")).startswith(ENCODER):
            found[path.stem] = str(meta["model"])
    return found


def _place(digest: str) -> Path:
    return home() / "reuse/weights" / f"{digest}.npz"

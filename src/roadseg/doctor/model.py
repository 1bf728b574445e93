"""The model of the checkout: what it was trained with, against what is installed here."""

import os
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.doctor.finding import Finding
from roadseg.doctor.software import installed, installed_lock
from roadseg.machine.hardware import gpus
from roadseg.machine.instruction_set import instruction_set


def model_state(tree: Path) -> Finding:
    """Compare models/bundle with this machine: DVC sees no version and no processor, so it reruns nothing for them."""
    if not (tree / paths.BUNDLE / "card.json").exists():
        return Finding("tree", "model", "none")
    try:
        was = Bundle.open(tree / paths.BUNDLE).surroundings
    except UsageError as error:
        return Finding("tree", "model", "unreadable", str(error))
    if was.keras is None:
        return Finding("tree", "model", "trained before bundles said with what")
    then = (f"keras {was.keras}", f"{was.backend} {was.backend_version}", str(was.instruction_set))
    differing = [there for there, before in zip(_here(), then, strict=True) if there != before]
    problem = ""
    if differing:
        problem = (
            f"here {', '.join(differing)}: an upgrade reruns nothing; `dvc repro -f -s train` trains anew under a new "
            "fingerprint"
        )
    return Finding("tree", "model", f"trained with {then[0]} on {then[1]}, {then[2]}", problem)


def _here() -> tuple[str, str, str]:
    """Keras, backend and instruction set as they would be here."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "jax":
        backend = f"jax {installed('jax')} with jaxlib {installed('jaxlib')}"
    else:
        backend = f"tensorflow {installed('tensorflow') or installed('tensorflow-cpu')}"
    capabilities = [] if installed_lock() == "cpu" else [capability for _, _, capability in gpus()]
    return f"keras {installed('keras')}", backend, instruction_set(capabilities)

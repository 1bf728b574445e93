"""Which backend Keras computes with, and which version of it: both decide how sums are rounded."""

from importlib import import_module


def backend_version() -> tuple[str, str]:
    """Name and version, such as `tensorflow` and `2.21.0`, of the backend that is loaded."""
    import keras  # late: it takes seconds

    name = keras.backend.backend()
    version = str(import_module(name).__version__)
    return name, f"{version} with jaxlib {import_module('jaxlib').__version__}" if name == "jax" else version

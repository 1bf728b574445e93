"""Variables that other libraries read: no telemetry, no chatter, no proxy for this machine, state in home."""

import os
import pwd
from importlib.util import find_spec

from roadseg.contracts.files import home
from roadseg.machine.chatter import hush
from roadseg.machine.kernels import settle_kernels

DEFAULTS = {
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def settle() -> None:
    """Set what the user has not set; call it before those libraries are imported.

    Two checkouts on one machine share nothing by accident: Prefect's profile and database and DVC's site cache, which
    DVC unpickles and would keep where everybody may write, lie in home.
    """
    settled = DEFAULTS | {"PREFECT_HOME": str(home() / "prefect"), "DVC_SITE_CACHE_DIR": str(home() / "dvc")}
    for name, value in settled.items():
        os.environ.setdefault(name, value)
    _spare_loopback_the_proxy()
    _name_the_user()
    settle_kernels()
    hush()
    if "KERAS_BACKEND" not in os.environ and not find_spec("tensorflow") and find_spec("jax"):
        os.environ["KERAS_BACKEND"] = "jax"  # the lock for JAX; Keras would ask for TensorFlow


def _spare_loopback_the_proxy() -> None:
    for name in ("no_proxy", "NO_PROXY"):  # some read one, some the other
        spared = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*spared, *(host for host in LOOPBACK if host not in spared)])


def _name_the_user() -> None:
    """Give a user without an entry in passwd, as containers have them, a name: DVC and others fail without one."""
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            os.environ["LOGNAME"] = f"user-{os.getuid()}"

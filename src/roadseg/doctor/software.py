"""Python, the packages that matter, and the tools that the flow calls."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from roadseg.doctor.finding import Finding

PACKAGES = ("keras", "numpy", "dvc", "mlflow", "prefect", "great-expectations")
LOCKS = {"tensorflow": "gpu", "tensorflow-cpu": "cpu", "jax": "jax"}  # a lock by its backend; tests want jax in all
TOOLS = {"git": "git", "setpriv": "util-linux"}  # and Debian's package
BROWSERS = ("chromium", "chromium-browser")
PYTHONS = ((3, 11), (3, 14))  # from, and below


def software() -> Iterator[Finding]:
    """Look at what is installed."""
    fits = PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]
    problem = "" if fits else "3.11, 3.12 and 3.13 work: make .venv with one of them, `make setup PYTHON=python3.11`"
    if "%" in sys.prefix:
        fits, problem = False, f"{sys.prefix} has a %, where MLflow cannot start: move the checkout, then `make setup`"
    yield Finding("software", "python", platform.python_version(), problem, stops=not fits)
    for name in PACKAGES:
        found = installed(name)
        yield Finding("software", name, found or "absent", "" if found else "run `make setup`", stops=not found)
    backends = [f"{name} {installed(name)}" for name in LOCKS if installed(name)]
    problem = "" if backends else "Keras has no backend: run `make setup`"
    yield Finding("software", "backend", ", ".join(backends) or "absent", problem, stops=not backends)
    for tool, package in TOOLS.items():
        path = shutil.which(tool)
        problem = "" if path else f"the flow needs it: on Debian `apt-get install {package}`"
        yield Finding("software", tool, path or "absent", problem, stops=not path)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    problem = "" if browser else "`make test` leaves out the tests of pages: on Debian `apt-get install chromium`"
    yield Finding("software", "chromium", browser or "absent", problem)


def installed(name: str) -> str | None:
    """Version of a distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def installed_lock() -> str | None:
    """Which of the locks is installed, by its backend."""
    return next((lock for name, lock in LOCKS.items() if installed(name)), None)

from importlib.metadata import PackageNotFoundError, version

import pytest

from roadseg.serving import log


def test_a_served_model_needs_the_versions_that_are_installed() -> None:
    assert f"tensorflow-cpu=={version('tensorflow-cpu')}" in log.requirements()
    assert f"keras=={version('keras')}" in log.requirements()


@pytest.mark.parametrize("backend", log.BACKENDS)
def test_a_served_model_needs_the_backend_of_the_installed_lock(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> str:
        if name in log.BACKENDS and name != backend:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(log, "version", found)
    assert log.requirements() == [f"{name}==1.0" for name in (*log.NEEDS, backend)]

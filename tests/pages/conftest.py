from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Tab, chromium
from evaluated import evaluated_tree
from judged import accepted_tree, refused_tree


@pytest.fixture(scope="session")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose data were accepted; read it only."""
    return accepted_tree(tmp_path_factory.mktemp("accepted"))


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose data were refused; read it only."""
    return refused_tree(tmp_path_factory.mktemp("refused"))


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which evaluate has run; read it only."""
    return evaluated_tree(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="session")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images with another mistake and no mistake in the worst; read it only."""
    return evaluated_tree(tmp_path_factory.mktemp("better"), {"val/a/0": 10, "val/c/0": 24})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab

from pathlib import Path

import pytest
from judged import accepted_tree, refused_tree


@pytest.fixture(scope="session")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose data were accepted; read it only."""
    return accepted_tree(tmp_path_factory.mktemp("accepted"))


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree whose data were refused; read it only."""
    return refused_tree(tmp_path_factory.mktemp("refused"))

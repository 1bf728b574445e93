from collections.abc import Iterator

import pytest
from team_stack import Stack, shared_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Stack]:
    """PostgreSQL, a store, MLflow and Prefect with logins, for all tests that want them."""
    base = tmp_path_factory.getbasetemp()
    with shared_stack(base if worker_id == "master" else base.parent) as found:
        yield found

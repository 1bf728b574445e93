import pytest
from bundles import painter as painter_in

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable


@pytest.fixture(scope="session")
def painter(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Bundle:
    """See `bundles.painter`."""
    return painter_in(tmp_path_factory.mktemp("painter"), idd_level1)

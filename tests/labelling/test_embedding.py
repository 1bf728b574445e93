import numpy as np
import pytest

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.labelling.embedding import Embedder, neck_of
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import MODELS


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Bundle:
    """The default model as it is deployed, with random weights."""
    folder = tmp_path_factory.mktemp("small") / "bundle"
    model = deploy(MODELS["small"].build(idd_level1.count), MODELS["small"], idd_level1.count)
    card = {"height": 32, "width": 64, "stride": 16, "classes": idd_level1.content, "output": "logits"}
    write_bundle(folder, model, card, SAMPLES.empty_table())
    return Bundle.open(folder)


def test_the_neck_is_where_a_model_has_the_fewest_places(small: Bundle) -> None:
    neck = neck_of(small.load(), 128, 256)
    assert neck.name == "up2_share"  # the last of the eight by sixteen places


def test_a_picture_s_vector_has_length_one_and_depends_on_no_other(small: Bundle) -> None:
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8))
    embedder = Embedder(small)
    together = np.stack(list(embedder(pictures)))
    assert together.shape == (3, embedder.width)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(next(embedder([pictures[1]])), together[1])
    assert np.abs(together[0] - together[1]).max() > 1e-4

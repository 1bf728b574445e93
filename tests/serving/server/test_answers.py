from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from served import picture

from roadseg.imaging.pixels import decode_image
from roadseg.predict.predictor import Predictor
from roadseg.serving.server.accepted import wanted_kind
from roadseg.serving.server.refusal import Refusal

if TYPE_CHECKING:
    from conftest import Champion

SIZES = ((90, 120), (37, 53), (227, 320), (300, 200))


@pytest.fixture(scope="module")
def predictor(champion: "Champion") -> Predictor:
    return Predictor(champion.bundles[1], precision="auto")


def test_a_mask_has_the_predictors_ids_alone_and_among_others(champion: "Champion", predictor: Predictor) -> None:
    sent = [picture(number, *SIZES[number % 4], form=("PNG", "JPEG", "WEBP")[number % 3]) for number in range(24)]
    expected = list(predictor(map(decode_image, sent)))
    alone = [champion.served.predict(each) for each in sent[:4]]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(champion.served.predict, sent))
    for answer, ids in zip([*alone, *together], [*expected[:4], *expected], strict=True):
        assert (answer.status, answer.headers["x-roadseg-version"]) == (200, "1")
        np.testing.assert_array_equal(answer.ids, ids)
    batches = champion.served.get("/metrics").body.decode()
    count = float(batches.partition("roadseg_batch_images_count ")[2].split()[0])
    total = float(batches.partition("roadseg_batch_images_sum ")[2].split()[0])
    assert total > count  # some were predicted together


def test_figures_are_those_of_the_mask(champion: "Champion", predictor: Predictor) -> None:
    sent = picture(1)
    found = champion.served.predict(sent, "application/json").json
    ids, confidence = next(predictor.with_confidence([decode_image(sent)]))
    names = champion.bundles[1].classes.names
    assert (found["version"], found["weights"]) == (1, champion.bundles[1].card["weights"])
    assert found["size"] == [90, 120]
    assert found["shares"] == {name: pytest.approx((ids == number).mean()) for number, name in enumerate(names)}
    expected = {names[number]: pytest.approx(confidence[ids == number].mean(), rel=1e-4) for number in np.unique(ids)}
    assert found["confidence"] == expected
    assert 0 < found["milliseconds"] < 60_000


def test_probabilities_are_the_predictors(champion: "Champion", predictor: Predictor) -> None:
    sent = picture(2)
    found = np.load(BytesIO(champion.served.predict(sent, "application/x-npy").body))
    expected = next(predictor.probabilities([decode_image(sent)])).transpose(2, 0, 1).astype(np.float16)
    assert (found.dtype, found.shape) == (np.float16, (7, 90, 120))
    np.testing.assert_array_equal(found, expected)


def test_an_overlay_is_half_picture_half_colour(champion: "Champion", predictor: Predictor) -> None:
    sent = picture(3)
    found = Image.open(BytesIO(champion.served.predict(sent, "image/jpeg").body))
    image, ids = decode_image(sent), next(predictor([decode_image(sent)]))
    expected = (image.astype(float) + champion.bundles[1].classes.palette[ids]) / 2
    assert found.format == "JPEG"
    grey = [np.asarray(each.convert("L"), float) for each in (found, Image.fromarray(expected.astype(np.uint8)))]
    assert np.abs(grey[0] - grey[1]).mean() < 4  # JPEG blurs colours more


def test_a_picture_is_turned_as_viewers_show_it(champion: "Champion") -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert champion.served.predict(picture(4, form="JPEG", exif=exif)).ids.shape == (120, 90)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/*;q=0.5, application/json;q=0.4", "png"),
        ("application/json", "json"),
        ("text/html, application/json;q=0.2, image/jpeg;q=0.9", "jpeg"),
        ("image/png;q=0, */*;q=0.1, application/x-npy;q=0.1", "npy"),
    ],
)
def test_the_answer_is_the_one_that_accept_prefers(accept: str, kind: str) -> None:
    assert wanted_kind(accept) == kind


def test_an_accept_that_takes_nothing_of_ours_is_refused() -> None:
    with pytest.raises(Refusal, match="no answer"):
        wanted_kind("text/html;q=0.9, image/png;q=0")

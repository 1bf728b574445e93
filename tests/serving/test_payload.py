import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from roadseg.contracts.errors import DataRefused
from roadseg.serving.payload import images_of, payload_of

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)


def encoded(image: np.ndarray, form: str = "PNG") -> str:
    written = io.BytesIO()
    Image.fromarray(image).save(written, form)
    return base64.b64encode(written.getvalue()).decode()


TEXTS = [encoded(image) for image in PIXELS]
PICTURES: dict[str, Any] = {
    "list": TEXTS,
    "array": np.array(TEXTS),
    "column": {"image": TEXTS},
    "column of arrays": {"image": np.array(TEXTS)},
    "records": [{"image": text} for text in TEXTS],
    "array of records": np.array([{"image": text} for text in TEXTS]),
    "records as MLflow makes them": [{"image": np.array(text)} for text in TEXTS],
    "rows": np.array(TEXTS)[:, None],
    "table": pd.DataFrame({"image": TEXTS}),
    "table of bytes": pd.DataFrame({"image": [base64.b64decode(text) for text in TEXTS]}),
    "data URLs": [f"data:image/png;base64,{text}" for text in TEXTS],
    "wrapped lines": ["\n".join(text[start : start + 76] for start in range(0, len(text), 76)) for text in TEXTS],
}
ARRAYS: dict[str, Any] = {
    "uint8": PIXELS,
    "as JSON has it": PIXELS.astype(np.int64),
    "nested lists": PIXELS.tolist(),
    "column": {"array": PIXELS},
    "records": [{"array": image.tolist()} for image in PIXELS],
    "table": pd.DataFrame({"array": PIXELS.tolist()}),
}


@pytest.mark.parametrize("way", PICTURES)
def test_pictures_come_in_every_form_that_mlflow_makes_of_them(way: str) -> None:
    images, as_pictures = images_of(PICTURES[way])
    np.testing.assert_array_equal(images, PIXELS)
    assert as_pictures


@pytest.mark.parametrize("way", ARRAYS)
def test_arrays_come_in_every_form_that_mlflow_makes_of_them(way: str) -> None:
    images, as_pictures = images_of(ARRAYS[way])
    np.testing.assert_array_equal(images, PIXELS)
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    assert not as_pictures


def test_pictures_may_differ_in_size_and_form() -> None:
    images, _ = images_of([encoded(np.zeros((3, 4, 3), np.uint8)), encoded(np.zeros((9, 8, 3), np.uint8), "JPEG")])
    assert [image.shape for image in images] == [(3, 4, 3), (9, 8, 3)]


def test_as_it_comes_so_it_goes() -> None:
    masks = np.random.default_rng(1).integers(0, 7, (2, 5, 7), np.uint8)
    np.testing.assert_array_equal(payload_of(iter(masks), as_pictures=False), masks)
    for mask, text in zip(masks, payload_of(iter(masks), as_pictures=True), strict=True):
        with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
            assert picture.format == "PNG"
            np.testing.assert_array_equal(np.asarray(picture), mask)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (PIXELS / 255, r"the array holds floats: multiply what is in 0\.\.1 by 255 and round it"),
        ((PIXELS / 255).tolist(), "the array holds floats"),
        (PIXELS[0], r"the array has shape \(5, 7, 3\)"),
        (PIXELS[..., 0], r"the array has shape \(2, 5, 7\)"),
        (PIXELS.transpose(0, 3, 1, 2), r"the array has shape \(2, 3, 5, 7\)"),
        (np.zeros((1, 5, 7, 4), int), r"the array has shape \(1, 5, 7, 4\)"),
        (np.zeros((0, 5, 7, 3), int), r"the array has shape \(0, 5, 7, 3\)"),
        ([], r"the array"),
        (np.full((1, 2, 2, 3), 256), "the array holds numbers from 256 to 256"),
        (PIXELS.astype(int) - 1, "the array holds numbers from -1 to 2"),
        (PIXELS > 9, "the array holds bool and no whole numbers"),
        ([PIXELS[0].tolist(), PIXELS[1, :3].tolist()], "the images differ in size"),
        ([None], "the array holds object"),
        ({"a": TEXTS, "b": TEXTS}, "there are the columns a, b and not one"),
        ({}, "there are the columns none and not one"),
        (pd.DataFrame({"image": TEXTS, "name": TEXTS}), "there are the columns image, name and not one"),
        ([TEXTS[0], "a picture!"], "picture 1 is not base64"),
        ([TEXTS[0][:40]], "picture 0 "),
        ([""], "picture 0 "),
        ([base64.b64encode(b"no picture").decode()], "picture 0 not a picture in a known format"),
        (7, "it is of type int"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_wanted(sent: Any, said: str) -> None:
    with pytest.raises(DataRefused, match=rf"^{said}.*; send pictures in base64, or whole numbers 0\.\.255 of shape"):
        images_of(sent)


@given(arrays(st.sampled_from([np.int8, np.int64, np.uint16, np.float32]), st.just((1, 2, 2, 3))))
def test_no_number_is_ever_changed(sent: np.ndarray) -> None:
    try:
        images, _ = images_of(sent)
    except DataRefused:
        assert sent.dtype.kind == "f" or sent.min() < 0 or sent.max() > 255
    else:
        np.testing.assert_array_equal(images, sent)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_else_is_sent_is_refused_and_nothing_breaks(sent: Any) -> None:
    with pytest.raises(DataRefused):
        images_of(sent)

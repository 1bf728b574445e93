from dataclasses import replace

import pytest

from roadseg.train.models.unet import SIZES, build


@pytest.mark.parametrize(("classes", "filters"), [(7, 32), (26, 32), (33, 48)])
def test_the_last_level_is_no_narrower_than_there_are_classes(classes: int, filters: int) -> None:
    model = build(SIZES["small"], "small", classes)
    assert [model.get_layer(f"up{level}_mix").filters for level in range(3)] == [filters, 48, 48]


@pytest.mark.parametrize("classes", [1, 7, 26, 100])
@pytest.mark.parametrize("name", SIZES)
def test_every_width_is_one_that_vector_units_take(name: str, classes: int) -> None:
    layers = build(SIZES[name], name, classes).layers
    widths = {layer.filters for layer in layers if hasattr(layer, "filters") and layer.name != "logits"}
    assert widths
    assert {width % 16 for width in widths} == {0}


@pytest.mark.parametrize("decoder", [(48,), (48, 48, 48, 48)])
def test_each_stage_has_a_level_on_the_way_up(decoder: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2"):
        build(replace(SIZES["small"], decoder=decoder), "small", 7)

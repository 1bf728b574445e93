from dataclasses import replace

import pytest

from roadseg.train.models.unet import SIZES, build


@pytest.mark.parametrize(("classes", "filters"), [(7, 24), (26, 26)])
def test_the_last_level_is_no_narrower_than_there_are_classes(classes: int, filters: int) -> None:
    model = build(SIZES["small"], "small", classes)
    assert [model.get_layer(f"up{level}_mix").filters for level in range(3)] == [filters, 48, 48]


@pytest.mark.parametrize("decoder", [(48,), (48, 48, 48, 48)])
def test_each_stage_has_a_level_on_the_way_up(decoder: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2"):
        build(replace(SIZES["small"], decoder=decoder), "small", 7)

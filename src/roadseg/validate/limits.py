"""How much of what is still accepted: the parameters of validate."""

from pydantic import Field

from roadseg.contracts.params import Section


class ValidateParams(Section):
    """What validate may be told."""

    brightness_min: float = Field(ge=0, le=1, description="darker images are warned of; mean grey level, 0..1")
    brightness_max: float = Field(ge=0, le=1, description="brighter images are warned of; mean grey level, 0..1")
    sharpness_min: float = Field(ge=0, description="more blurred images are warned of; variance of the Laplacian")
    void_max: float = Field(ge=0, le=1, description="masks with a larger share of void pixels are warned of, 0..1")
    size_factor: float = Field(ge=1, description="images this many times larger or smaller than usual are warned of")
    aspect_factor: float = Field(ge=1, description="images this many times wider or taller than usual are warned of")
    near_duplicate: int = Field(
        ge=-1, le=16, description="bits of the perceptual hash by which two images may differ and still be one; -1: off"
    )
    interpolation_max: float = Field(
        gt=0, le=1, description="share of between-ids at edges above which a mask counts as interpolated, 0..1"
    )
    absent_max: float = Field(
        ge=0, le=1, description="share of classes that may be absent from train before the table is refused, 0..1"
    )
    shift_max: float = Field(
        ge=0, le=1, description="change of class shares since the last accepted data that is warned of; 0..1"
    )

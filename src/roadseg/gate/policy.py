"""The section `promote` of params.yaml: what a model must show to become champion; no stage reads it."""

from typing import Annotated

from pydantic import Field

from roadseg.contracts.params import Section

Share = Annotated[float, Field(ge=0, le=1)]


class Policy(Section):
    """What the gate may be told."""

    approval: bool = Field(description="a person must approve every promotion")
    confidence: float = Field(
        ge=0.5, lt=1, description="how sure a difference must be, over drives drawn anew; 0.95 errs once in twenty"
    )
    gain: Share = Field(description="mIoU that a candidate must gain at least; what numerics move is less than 0.001")
    loss: Share = Field(description="mIoU; a candidate that is surely worse by more is rejected, not held")
    drives: int = Field(ge=2, description="fewest drives of the val split that decide; with fewer left the gate holds")
    miou_min: Share = Field(description="no model below this mIoU is promoted, a first one neither")
    iou_min: dict[str, Share] = Field(description="the same by class: {living-things: 0.3}; {} for none")
    protected_drop: Share = Field(description="IoU that a protected class may fall by")
    slice_images: int = Field(ge=1, description="fewest images of a slice that is judged")
    slice_drop: Share = Field(description="mIoU that a slice by brightness, sharpness or size may fall by")
    regression_drop: Share = Field(description="an image whose own mIoU fell by more is a regression")
    regressions: int = Field(ge=0, description="regressions that are let pass")
    safe_drop: Share = Field(description="safe_miou that may be lost, where the class table has it")
    size_factor: float = Field(ge=1, description="how many times the champion's bytes a bundle may have")
    time_factor: float = Field(ge=1, description="how many times the champion's seconds an image may take")

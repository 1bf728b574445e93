"""What is measured of a picture, and of a model's answer to it, to be compared between sets of pictures."""

import numpy as np

from roadseg.scan.statistics import GREY

BLOCKS = 16  # along the picture's shorter side, in each of which haze looks for the darkest pixel
DOUBT = 0.5  # pixels that the model is less sure of are in doubt

PICTURE = {
    "brightness": "mean of grey, 0 to 1",
    "contrast": "deviation of grey, 0 to 0.5",
    "sharpness": "variance of the Laplacian of grey levels; less where it is blurred, more where it is noisy",
    "noise": "deviation of grey that no smooth surface or edge explains, grey levels",
    "haze": "mean over blocks of their darkest channel, 0 to 1; fog leaves nothing dark",
    "colour": "mean distance of the strongest and the weakest channel, 0 to 1",
    "warmth": "mean of red less blue, -1 to 1",
    "pixels": "width times height",
}
ANSWER = {
    "confidence": "mean probability that the model gives to what it says, 0 to 1",
    "doubt": f"share of pixels that it gives a probability below {DOUBT}",
}
SHARE = "share of "  # and a class's name


def picture_figures(image: np.ndarray) -> dict[str, float]:
    """Figures of uint8 (H, W, 3), by the names in `PICTURE`.

    Source: noise is J. Immerkaer's filter ("Fast noise variance estimation", 1996) with the median in place of the
    mean, so that edges count less; haze is the dark channel of K. He, J. Sun and X. Tang ("Single image haze removal
    using dark channel prior", 2009).
    """
    grey = image.astype(np.float32) @ GREY
    across, down = grey[:, :-2] + grey[:, 2:] - 2 * grey[:, 1:-1], grey[:-2] + grey[2:] - 2 * grey[1:-1]
    laplacian = across[1:-1] + down[:, 1:-1]
    grain = across[:-2] + across[2:] - 2 * across[1:-1]
    mean = image.mean((0, 1)) / 255
    return {
        "brightness": float(grey.mean() / 255),
        "contrast": float(grey.std() / 255),
        "sharpness": float(laplacian.var()) if laplacian.size else 0.0,
        "noise": float(np.median(np.abs(grain)) / (6 * 0.6745)) if grain.size else 0.0,
        "haze": float(_darkest(image).mean() / 255),
        "colour": float((image.max(-1) - image.min(-1)).mean() / 255),
        "warmth": float(mean[0] - mean[2]),
        "pixels": float(image.shape[0] * image.shape[1]),
    }


def answer_figures(ids: np.ndarray, confidence: np.ndarray, names: list[str]) -> dict[str, float]:
    """Figures of a model's answer, by the names in `ANSWER` and a share for every class.

    Args:
        ids: uint8 (H, W), classes.
        confidence: float32 (H, W), the probability given to each, 0..1.
        names: of the classes, by id.
    """
    shares = np.bincount(ids.ravel(), minlength=len(names))[: len(names)] / ids.size
    return {
        "confidence": float(confidence.mean()),
        "doubt": float((confidence < DOUBT).mean()),
    } | {SHARE + name: float(share) for name, share in zip(names, shares, strict=True)}


def _darkest(image: np.ndarray) -> np.ndarray:
    """The lowest value in each block of uint8 (H, W, 3); what is left over at right and below is not looked at."""
    side = max(1, min(image.shape[:2]) // BLOCKS)
    rows, columns = (length // side for length in image.shape[:2])
    whole = image[: rows * side, : columns * side].min(-1)
    return np.asarray(whole.reshape(rows, side, columns, side).min((1, 3)))

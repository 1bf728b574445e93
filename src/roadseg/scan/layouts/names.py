"""How names are compared: one way for layouts, patterns, lists, scores and predictions.

`1_sat.jpg`, `Image_1.png`, `1-mask.png` and `MASK_1.tif` are one name; so is a name in other letters or accents.
"""

import re
import unicodedata
from pathlib import PurePosixPath

from roadseg.imaging.pixels import SUFFIXES

# What data sets put before or after one name to tell an image from its mask. L alone is large: CamVid's.
_IMAGE = r"images?|imgs?|rgb|sat|leftImg8bit|photo"
_MASK = r"masks?|labels?|seg|segmentation|semantic|gt|ground_?truth|annotations?|annot"
_PAINTED = r"(?:train_|label_|mask_|gt_)?colou?rs?|gtFine_colou?r"
_CODED = r"gtFine_[A-Za-z0-9]+|gtCoarse_[A-Za-z0-9]+|(?:train_|label_)ids?|labelIds?|labelTrainIds?"
SHOWN = re.compile(r"_(image|img|rgb|sat|leftImg8bit|masks?|labels?|seg|gt|L|gtFine_[A-Za-z0-9]+)$")
_ENDING = re.compile(rf"[_\-. ](?:(?i:{_IMAGE}|{_MASK}|{_PAINTED}|{_CODED})|L)$")
_START = re.compile(rf"^(?:(?:{_IMAGE}|{_MASK})[_\-. ]|(?:images?|imgs?|masks?|labels?|gt)(?=\d))(?=.)", re.IGNORECASE)
_OF_A_MASK = re.compile(
    rf"[_\-. ](?:(?i:{_MASK}|{_PAINTED}|{_CODED})|L)$|^(?i:(?:{_MASK})[_\-. ](?=.)|(?:masks?|labels?|gt)(?=\d))"
)
_OF_COLOURS = re.compile(rf"[_\-. ](?:{_PAINTED})$", re.IGNORECASE)
# Instances and disparities are no masks of classes; IDD Lite's `_inst_label` is a copy of the label.
INSTANCES = re.compile(r"[_\-. ](inst(ance)?s?(_?label)?|instance[a-z0-9]*_?ids?|panoptic|disparity)$", re.IGNORECASE)


def folded(name: str) -> str:
    """A name without what disks and people change: accents in one form, and no large letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def key(stem: str) -> str:
    """What an image's and its mask's name, without suffix, have in common."""
    spelled = unicodedata.normalize("NFC", stem)
    bare = _ENDING.sub("", spelled) or spelled
    return folded(_START.sub("", bare) or bare)


def shown(stem: str) -> str:
    """A sample's id by its image's name."""
    return SHOWN.sub("", stem) or stem


def bare(path: str) -> tuple[str, ...]:
    """A path's parts to compare by: the last one as `key`, without a picture's or polygons' suffix."""
    parts = PurePosixPath(path.replace("\\", "/").strip("/")).parts
    if not parts:
        return ()
    last = PurePosixPath(parts[-1])
    stem = last.stem if last.suffix.lower() in SUFFIXES | {".json"} else last.name
    return (*map(folded, parts[:-1]), key(stem))


def is_mask(stem: str) -> bool:
    """Whether a name says so, as `1_mask` and `gt_1` do."""
    return bool(_OF_A_MASK.search(unicodedata.normalize("NFC", stem)))


def is_painted(stem: str) -> bool:
    """Whether a name says that it is a mask in colours, which data sets often have beside the one of ids."""
    return bool(_OF_COLOURS.search(stem))


def is_instances(stem: str) -> bool:
    """Whether a name says that it tells objects apart, not classes."""
    return bool(INSTANCES.search(stem))

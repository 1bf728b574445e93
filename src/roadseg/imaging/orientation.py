"""Turn a picture as viewers show it: cameras store frames as the sensor lay, and say beside them how they lay."""

from PIL import Image
from PIL.ExifTags import Base

from roadseg.contracts.errors import RoadsegError

TURNED = "turned"  # in a picture's `info`: the orientation by which it was turned, 2 to 8; absent where it was upright
WAYS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_THE_SIDE = frozenset({5, 6, 7, 8})  # height and width change places
WHERE = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # in Pillow's `info`


def orientation_of(picture: Image.Image) -> int:
    """The orientation that an open file states, 1 to 8 as EXIF counts; 1, upright, also where the statement is broken.

    Of a PNG it is known once the picture is loaded, of a TIFF only before, since Pillow turns those itself.
    """
    if picture.format != "TIFF" and picture.info.keys().isdisjoint(WHERE):
        return 1
    try:
        stated = picture.getexif().get(Base.Orientation)
    except (RoadsegError, MemoryError):
        raise
    except Exception:  # on broken EXIF Pillow raises anything; viewers then show the picture as it is stored
        return 1
    return stated if stated in WAYS else 1


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """A loaded picture as viewers show it; `TURNED` in its `info` says what was done."""
    if orientation == 1:
        return picture
    if picture.format != "TIFF":
        picture = picture.transpose(WAYS[orientation])
    picture.info[TURNED] = orientation
    return picture

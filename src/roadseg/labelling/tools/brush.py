"""Label Studio's packed masks: runs of equal bytes as bits, of a picture with four channels.

Source: the format of `rle-pack` (thi.ng/umbrella), as Label Studio's brush writes it: 32 bits of length, 5 of the
word's size, four times 4 of the sizes that a run's length can have; then a bit for a run or single words, 2 bits for
the size, the length less one, and the word or words.
"""

import numpy as np

SIZES = (3, 4, 8, 16)  # bits of a run's length, less one
CHANNELS = 4


class Damaged(ValueError):
    """What was packed does not unpack to a mask of the size asked for."""


def pack_brush(mask: np.ndarray) -> list[int]:
    """Pack bool (H, W) to bytes, 0..255 each."""
    flat = np.ascontiguousarray(mask).ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.concatenate([starts, [flat.size]])) * CHANNELS
    bits = [f"{flat.size * CHANNELS:032b}{7:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for start, left in zip(starts.tolist(), lengths.tolist(), strict=True):
        word = "11111111" if flat[start] else "00000000"
        while left:
            run = min(left, 1 << SIZES[-1])
            place = next(place for place, size in enumerate(SIZES) if run <= 1 << size)
            bits.append(f"1{place:02b}{run - 1:0{SIZES[place]}b}{word}")
            left -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8))


def unpack_brush(packed: list[int], height: int, width: int) -> np.ndarray:
    """Unpack to bool (H, W): where the last channel, opacity, is over half.

    Raises:
        Damaged: no bytes, of another size, or cut; nothing larger than the mask is ever made.
    """
    wanted = height * width * CHANNELS
    if not isinstance(packed, list) or not all(type(each) is int and 0 <= each <= 255 for each in packed):
        raise Damaged("is no list of bytes")
    bits = _Bits(bytes(packed))
    if (size := bits.read(32)) != wanted:
        raise Damaged(f"has {size} values, not the {wanted} of {width}x{height} pixels with {CHANNELS} channels")
    word_size = bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in SIZES]
    found, place = np.zeros(wanted, np.uint8), 0
    while place < wanted:
        run, length = bits.read(1), 0
        length = bits.read(sizes[bits.read(2)]) + 1
        end = min(place + length, wanted)
        if run:
            found[place:end] = bits.read(word_size) & 255
        else:
            found[place:end] = [bits.read(word_size) & 255 for _ in range(end - place)]
        place = end
    return np.asarray(found.reshape(height, width, CHANNELS)[..., -1] > 127)


class _Bits:
    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def read(self, count: int) -> int:
        end = self._place + count
        if end > 8 * len(self._content):
            raise Damaged("is cut")
        first, last = self._place // 8, -(-end // 8)
        value = int.from_bytes(self._content[first:last]) >> (8 * last - end)
        self._place = end
        return value & ((1 << count) - 1)

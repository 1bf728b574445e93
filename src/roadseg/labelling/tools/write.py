"""A batch as annotation tools import it: pictures, the model's masks as pre-annotation, and the class table."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import failpoint, sync_disk, sync_folder
from roadseg.imaging.pixels import read_image
from roadseg.labelling.batch import Batch, Pick, painted
from roadseg.labelling.tools import brush

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold
BACKGROUND = "background"  # what CVAT calls what is not annotated
SUBSET = "default"
TO_NAME, FROM_NAME = "image", "tag"  # in Label Studio's configuration
Member = tuple[str, bytes]
Write = Callable[[Batch, Path, Path], None]


def export_batch(batch: Batch, to: str, out: Path, root: Path) -> None:
    """Write a batch for a tool; a folder that is there was written whole.

    Args:
        batch: what was picked.
        to: a name of `TOOLS`.
        out: a folder that is absent or empty.
        root: of Label Studio's local files, above `out`.

    Raises:
        UsageError: the folder is not empty, `root` is not above it, or the tool has another use for a class's name.
    """
    taken = [name for name in batch.classes.names if name.lower() == BACKGROUND]
    if taken and to.startswith("cvat"):
        raise UsageError(
            f"class {taken[0]}: CVAT's layouts call void so, and both would come back as one; give another --to, or "
            "rename the class in data/classes.yaml and pick anew"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already: give another --out, or delete it")
    begun = out.with_name(f".{out.name}.begun")
    shutil.rmtree(begun, ignore_errors=True)
    (begun / "images").mkdir(parents=True)
    for pick in batch.picks:
        shutil.copyfile(batch.picture(pick), begun / "images" / pick.picture)
    batch.classes.write(begun / "classes.yaml")
    TOOLS[to](batch, begun, _below(root, out) if to == "label-studio" else root)
    sync_disk(begun)
    failpoint("label:exported")
    if out.exists():
        out.rmdir()
    begun.rename(out)
    sync_folder(out.parent)


def _below(root: Path, out: Path) -> Path:
    try:
        return out.absolute().relative_to(root.absolute()) / "images"
    except ValueError:
        raise UsageError(f"{out} is not below {root}, the root of Label Studio's local files: give --root") from None


def _folders(batch: Batch, out: Path, _: Path) -> None:
    """images/, masks/ with ids in the pixels and colours in the palette, 255 for void; classes.yaml says the ids."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: batch.classes.count] = list(batch.colors.values())
    (out / "masks").mkdir()
    for pick in batch.picks:
        mask = Image.fromarray(batch.predicted(pick)).convert("P")
        mask.putpalette(palette.ravel().tolist())
        mask.save(out / "masks" / f"{pick.name}.png", "PNG")


def _cvat(members: Callable[[Batch], Iterator[Member]]) -> Write:
    def write(batch: Batch, out: Path, _: Path) -> None:
        """The pictures for a new task, labels.json for its labels, annotations.zip for `Upload annotations`."""
        labels = [
            {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color), "attributes": []}
            for name, color in batch.colors.items()
        ]
        (out / "labels.json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
        with zipfile.ZipFile(out / "annotations.zip", "w", zipfile.ZIP_STORED) as packed:
            for name, content in members(batch):
                packed.writestr(zipfile.ZipInfo(name, EPOCH), content)

    return write


def _voc(batch: Batch) -> Iterator[Member]:
    """Source: docs.cvat.ai, "Segmentation mask"."""
    lines = ["# label:color_rgb:parts:actions", f"{BACKGROUND}:0,0,0::"]
    lines += [f"{name}:{','.join(map(str, color))}::" for name, color in batch.colors.items()]
    yield "labelmap.txt", _text(lines)
    yield f"ImageSets/Segmentation/{SUBSET}.txt", _text([pick.name for pick in batch.picks])
    for pick in batch.picks:
        mask = _png(painted(batch.predicted(pick), batch))
        yield f"SegmentationClass/{pick.name}.png", mask
        yield f"SegmentationObject/{pick.name}.png", mask  # one object of each class


def _camvid(batch: Batch) -> Iterator[Member]:
    """Source: docs.cvat.ai, "CamVid"."""
    yield "label_colors.txt", _text(_colors(batch))
    yield f"{SUBSET}.txt", _text([f"/{SUBSET}/{each.picture} /{SUBSET}annot/{each.name}.png" for each in batch.picks])
    for pick in batch.picks:
        yield f"{SUBSET}annot/{pick.name}.png", _png(painted(batch.predicted(pick), batch))


def _cityscapes(batch: Batch) -> Iterator[Member]:
    """Source: docs.cvat.ai, "Cityscapes"; ids are places in label_colors.txt, 0 the background."""
    yield "label_colors.txt", _text(_colors(batch))
    for pick in batch.picks:
        mask, base = batch.predicted(pick), f"gtFine/{SUBSET}/{pick.name}_gtFine_"
        ids = np.where(mask < batch.classes.count, mask + 1, 0).astype(np.uint8)
        yield f"imgsFine/leftImg8bit/{SUBSET}/{pick.name}_leftImg8bit.png", _as_png(batch, pick)
        yield f"{base}color.png", _png(painted(mask, batch))
        yield f"{base}labelIds.png", _png(ids)
        yield f"{base}instanceIds.png", _png(ids)


def _label_studio(batch: Batch, out: Path, below: Path) -> None:
    """tasks.json to import, labels.xml for the project's interface, masks/ as pictures to look at."""
    lines = ["<View>", f'  <Image name="{TO_NAME}" value="$image" zoom="true"/>']
    lines += [f'  <BrushLabels name="{FROM_NAME}" toName="{TO_NAME}">']
    for name, color in batch.colors.items():
        lines.append('    <Label value="{}" background="#{:02x}{:02x}{:02x}"/>'.format(name, *color))
    (out / "labels.xml").write_bytes(_text([*lines, "  </BrushLabels>", "</View>"]))
    (out / "masks").mkdir()
    with (out / "tasks.json").open("w", encoding="utf-8") as opened:  # task by task: one is millions of numbers
        for pick in batch.picks:
            mask = batch.predicted(pick)
            Image.fromarray(painted(mask, batch)).save(out / "masks" / f"{pick.name}.png", "PNG")
            opened.write(",\n" if opened.tell() else "[")
            json.dump(_task(batch, pick, mask, below), opened)
        opened.write("]\n")


def _task(batch: Batch, pick: Pick, mask: np.ndarray, below: Path) -> dict[str, object]:
    address = f"/data/local-files/?d={quote((below / pick.picture).as_posix())}"
    results = [_result(pick, name, mask == number) for number, name in enumerate(batch.classes.names)]
    guess = {"model_version": batch.weights[:12], "result": [each for each in results if each]}
    return {"data": {"image": address, "name": pick.name}, "predictions": [guess]}


def _result(pick: Pick, label: str, where: np.ndarray) -> dict[str, object] | None:
    """One class of one picture as Label Studio's brush; None where it is nowhere."""
    if not where.any():
        return None
    return {
        "id": f"{pick.image_sha[:8]}-{label}".replace(" ", "_"),
        "type": "brushlabels",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": pick.width,
        "original_height": pick.height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": brush.pack_brush(where), "brushlabels": [label]},
    }


def _colors(batch: Batch) -> list[str]:
    named = {BACKGROUND: (0, 0, 0)} | batch.colors
    return [f"{' '.join(map(str, color))} {name}" for name, color in named.items()]


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def _png(pixels: np.ndarray) -> bytes:
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def _as_png(batch: Batch, pick: Pick) -> bytes:
    return _png(read_image(batch.picture(pick)))


TOOLS: dict[str, Write] = {
    "cvat": _cvat(_voc),
    "cvat-camvid": _cvat(_camvid),
    "cvat-cityscapes": _cvat(_cityscapes),
    "label-studio": _label_studio,
    "folders": _folders,
}

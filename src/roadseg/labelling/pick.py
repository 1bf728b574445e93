"""Pick a batch: measure every picture of a source, choose, and leave copies, masks and reasons in home."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file, digest_of, read_json, replacing, write_json
from roadseg.contracts.manifest import Manifest
from roadseg.imaging.pixels import read_image, resize_mask
from roadseg.labelling.batch import (
    ABOUT,
    MASKS,
    PICTURES,
    Batch,
    Pick,
    all_batches,
    batches_folder,
    checked_name,
    distinct_colors,
    write_batch,
)
from roadseg.labelling.choose import By, Choice, Known, choose_pictures, scenes
from roadseg.labelling.drives import leave_out_other_split, name_drives, plain
from roadseg.labelling.known import what_is_known
from roadseg.labelling.measure import judge_answer, measured
from roadseg.labelling.sources import NothingLeft, Source

if TYPE_CHECKING:
    from roadseg.labelling.embedding import Embedder
    from roadseg.predict.predictor import Predictor

STATE = ".measured"  # in a batch's folder until it is whole


@dataclass(frozen=True)
class Wanted:
    """What a person asks for.

    Attributes:
        count: pictures.
        by: see `choose.By`.
        split: that the drives get.
        name: of the batch; empty: one by the day, or that of an equal pick that was killed.
        model: what the model is called.
        bits: by which two perceptual hashes may differ and still mean one picture.
    """

    count: int
    by: By
    split: Literal["train", "val"]
    name: str
    model: str
    bits: int


def pick_batch(
    source: Source,
    tree: Path,
    manifest: Manifest,
    predictor: "Predictor",
    embedder: "Embedder",
    wanted: Wanted,
    step: Callable[[int], None] = lambda _: None,
    page: Callable[[Batch], object] = lambda _: None,
) -> tuple[Batch, list[str]]:
    """Pick pictures that are worth labelling.

    A pick that was killed goes on where it was. What grows with the pictures: a name and figures of each, no pixels.

    Args:
        source: what to pick from.
        tree, manifest: the checkout and its manifest: what is labelled.
        predictor, embedder: of one model, which knows the data's classes.
        wanted: what is asked for.
        step: told how many more pictures are measured.
        page: writes the batch's page; called before the batch counts as whole.

    Returns:
        The batch, and sentences on what was left out.

    Raises:
        UsageError: the name is taken, or another pick of it works with other pictures.
        NothingLeft: nothing is left to pick.
    """
    _refuse_other_classes(predictor, manifest, wanted)
    folder = _folder(source, predictor, wanted)
    faults: list[str] = []
    pictures = measured(source.frames, predictor, embedder, folder / STATE, faults, step)
    scene = scenes([one.drive for one in source.frames], [one.time for one in source.frames], pictures["phash"])
    others = list(all_batches())
    known = what_is_known(source, pictures, tree, manifest, predictor, embedder, folder / STATE, others)
    leave_out_other_split(source, pictures, others, wanted.split)
    chosen = choose_pictures(pictures, scene, known, wanted.count, by=wanted.by, bits=wanted.bits)
    if not chosen:
        raise NothingLeft(
            f"{source.name}: all {len(pictures)} are unreadable, among the data or picked already, or like those"
        )
    batch = _described(folder, source, predictor, wanted, len(pictures))
    picks, gone = _copied(batch, _picks(chosen, source, pictures, known, manifest, others, batch), source)
    batch = replace(batch, picks=picks)
    _write_answers(batch, predictor)
    page(batch)
    write_batch(batch)
    shutil.rmtree(folder / STATE, ignore_errors=True)
    return batch, [*_notes(faults, len(chosen), wanted.count), *gone]


def _notes(faults: list[str], chosen: int, wanted: int) -> list[str]:
    notes = [f"{len(faults)} pictures are left out, such as {faults[0]}"] if faults else []
    if chosen < wanted:
        notes.append(f"{chosen} of {wanted}: all others are copies of these, of what is labelled or picked")
    return notes


def _refuse_other_classes(predictor: "Predictor", manifest: Manifest, wanted: Wanted) -> None:
    theirs = predictor.bundle.classes
    if theirs != manifest.classes:
        raise DataRefused(f"{wanted.model} knows {theirs.name}, the data are {manifest.classes.name}: train again")


def _folder(source: Source, predictor: "Predictor", wanted: Wanted) -> Path:
    """The folder of this pick: that of an equal one that was killed, or a new one."""
    listed = [[one.name, one.drive] for one in source.frames]
    asked = [source.name, listed, predictor.bundle.card["weights"], predictor.settings]
    identity = {"identity": digest_of([*asked, wanted.count, wanted.by, wanted.split])}
    begun = [path for path in batches_folder().glob("*/state.json") if not (path.parent / ABOUT).exists()]
    for path in begun:
        same = read_json(path, "label-pick", "roadseg label pick")["identity"] == identity["identity"]
        if same and wanted.name in ("", path.parent.name):
            return path.parent
    folder = batches_folder() / (checked_name(wanted.name) if wanted.name else _free_name())
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is there already: give another --batch, or delete it")
    write_json(folder / "state.json", "label-pick", identity)
    return folder


def _free_name() -> str:
    day, number = f"{datetime.now(UTC):%Y-%m-%d}", 1
    while (batches_folder() / f"{day}-{number}").exists():
        number += 1
    return f"{day}-{number}"


def _described(folder: Path, source: Source, predictor: "Predictor", wanted: Wanted, looked: int) -> Batch:
    bundle = predictor.bundle
    return Batch(
        folder,
        source=source.name,
        split=wanted.split,
        by=wanted.by,
        model=wanted.model,
        weights=bundle.card["weights"],
        classes=bundle.classes,
        colors=distinct_colors(bundle.classes),
        created=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        looked=looked,
    )


def _picks(
    chosen: list[Choice],
    source: Source,
    pictures: np.ndarray,
    known: Known,
    manifest: Manifest,
    others: list[Batch],
    batch: Batch,
) -> list[Pick]:
    drives = (source.frames[choice.place].drive for choice in chosen)
    names = name_drives(source, drives, manifest, others, batch)
    weight = -np.log(np.maximum(known.shares, 1e-4))
    found = []
    for rank, choice in enumerate(chosen, 1):
        frame, row = source.frames[choice.place], pictures[choice.place]
        sha, ending = row["sha"].tobytes().hex(), frame.path.suffix.lower()
        stem = plain(frame.path.stem)[:60]
        name = f"{plain(frame.drive)[-40:]}-{stem}-{sha[:8]}".strip("-")
        if source.rows:
            data = source.rows[choice.place]
            drive, image = data["drive"] or "", data["image"]
            id_ = data["sample"].removeprefix("/".join(filter(None, (data["split"], drive))) + "/")
        else:
            drive, image, id_ = names[frame.drive], "", new_id(stem, sha, manifest.layout)
        rarest = manifest.classes.names[int((row["shares"].astype(np.float64) * weight).argmax())]
        figures = ("value", "uncertain", "rare", "distance")
        why: dict[str, Any] = {each: round(getattr(choice, each), 5) for each in figures} | {"scene": choice.scene}
        size: dict[str, Any] = {each: int(row[each]) for each in ("height", "width")}
        what: dict[str, Any] = {
            "drive": drive,
            "id": id_,
            "image": image,
            "picture": f"{name}{ending}",
            "image_sha": sha,
            "frame": frame.name,
        }
        found.append(Pick(rank, name, rarest=rarest, **what, **size, **why))
    return found


def new_id(stem: str, sha: str, layout: str) -> str:
    """The id that a new picture gets in data/raw; layout `numbered` knows numbers alone."""
    return str(10**9 + int(sha[:7], 16)) if layout == "numbered" else f"{stem}-{sha[:8]}"


def _copied(batch: Batch, picks: list[Pick], source: Source) -> tuple[list[Pick], list[str]]:
    """Copy the pictures, whose originals may go; the picks that were copied, and a line for each that went before.

    Raises:
        NothingLeft: all have gone.
    """
    paths = {frame.name: frame.path for frame in source.frames}
    kept: list[Pick] = []
    gone: list[str] = []
    for pick in picks:
        path = paths[pick.frame]
        try:
            with replacing(batch.folder / PICTURES / pick.picture) as temporary:
                shutil.copyfile(path, temporary)
                if digest_file(temporary) != pick.image_sha:
                    raise FileNotFoundError  # as good as gone: another picture has its name
        except FileNotFoundError:
            gone.append(f"{path} went or changed while it was picked: left out")
            continue
        kept.append(replace(pick, rank=len(kept) + 1))
    if not kept:
        raise NothingLeft(f"{gone[0]}, as all others that were picked: pick again")
    return kept, gone


def _write_answers(batch: Batch, predictor: "Predictor") -> None:
    """Keep what the model says of the pictures."""
    answers = predictor.probabilities(read_image(batch.picture(pick)) for pick in batch.picks)
    for pick, answer in zip(batch.picks, answers, strict=True):
        with replacing(batch.folder / MASKS / f"{pick.name}.png") as temporary:
            Image.fromarray(answer.argmax(-1).astype(np.uint8)).save(temporary, "PNG")
        unsure = resize_mask(judge_answer(answer).unsure.astype(np.uint8) * 255, *answer.shape[:2])
        with replacing(batch.doubt(pick)) as temporary:
            Image.fromarray(unsure).save(temporary, "PNG")

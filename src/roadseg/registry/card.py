"""A registered version's model card, from what is stored of it: Hugging Face's front matter, and what people read."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from roadseg.contracts import paths
from roadseg.contracts.evaluation import Evaluation, read_evaluation, read_scores
from roadseg.contracts.weights import ENCODER
from roadseg.registry.rebuild.recorded import Recorded, fetch_recorded, find_version
from roadseg.registry.versions import MODEL
from roadseg.scoring.slices import worst_slices
from roadseg.tracking.store import FINGERPRINT, connect, every, find_runs
from roadseg.tracking.training_run import PARENT

LONGEST = 5000  # characters of a version's description: MLflow's column in PostgreSQL
WORST = 3
LEAST_BELOW = 0.001  # of a slice below the whole, in mIoU, that is worth a line
METRICS = {"miou": ("mean_iou", "mean IoU"), "pixel_accuracy": ("accuracy", "pixel accuracy")}  # as the hub calls them


def write_card(model: str, licence: str | None = None) -> tuple[str, bool]:
    """Make the card of a version, and its text the version's description in MLflow.

    The description has no front matter, which MLflow would show as text, and ends with a whole section where the card
    is longer than it may be. One that a person wrote stays.

    Args:
        model: see `find_version`.
        licence: for the front matter, by the hub's name, such as `apache-2.0`.

    Returns:
        The card, and whether the description is of it.

    Raises:
        UsageError: there is no such version, or something else than `roadseg register` made it.
    """
    client = connect()
    version = find_version(client, model)
    with tempfile.TemporaryDirectory() as folder:
        recorded = fetch_recorded(client, version, Path(folder, "recorded"))
        text = _text(recorded, ancestors(client, recorded.run_id))
        front = _front_matter(recorded, licence)
    described = client.get_model_version(MODEL, str(version)).description or ""
    ours = not described or described.startswith(_title(version))
    short = shortened(text, version)
    if ours and described != short:
        client.update_model_version(MODEL, str(version), short)
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n{text}", ours


def ancestors(client: MlflowClient, run_id: str) -> list[str]:
    """What a run's weights started from, the nearest first: trainings with the versions they became, an encoder."""
    versions: list[ModelVersion] = list(every(client.search_model_versions, f"name = '{MODEL}'"))
    found: list[str] = []
    seen: set[str] = set()
    parent = client.get_run(run_id).data.tags.get(PARENT)
    while parent and parent not in seen:
        seen.add(parent)
        if parent.startswith(ENCODER):
            found.append(f"pretrained encoder `{parent.removeprefix(ENCODER)}`: none of the drives here")
            break
        runs = find_runs(client, parent)
        made = [str(each.version) for each in versions if each.tags.get("fingerprint") == parent]
        said = f"version {', '.join(made)}" if made else "never registered"
        found.append(f"training `{parent[:12]}`: {said if runs else 'gone from MLflow'}")
        parent = next((run.data.tags.get(PARENT) for run in runs), None)
    return found


def shortened(text: str, version: int) -> str:
    """At most `LONGEST` characters, whole sections."""
    rest = f"\n\nThe rest: `roadseg models card {version}`\n"
    if len(text) <= LONGEST:
        return text
    return text[: text.rindex("\n\n## ", 0, LONGEST - len(rest))] + rest


def _title(version: int) -> str:
    return f"# {MODEL} version {version}\n"


def _front_matter(recorded: Recorded, licence: str | None) -> dict[str, Any]:
    scores, table = read_scores(recorded.evaluation), recorded.bundle.classes
    metrics = [
        {"type": kind, "value": scores[key], "name": name}
        for key, (kind, name) in METRICS.items()
        if scores.get(key) is not None
    ]
    metrics += [
        {"type": "iou", "value": scores[f"iou.{name}"], "name": f"IoU of {name}"}
        for name in table.names
        if scores.get(f"iou.{name}") is not None
    ]
    result = {
        "task": {"type": "image-segmentation", "name": "Semantic segmentation of road scenes"},
        "dataset": {"type": table.name, "name": f"{table.name}, validation drives", "split": "val"},
        "metrics": metrics,
    }
    return {
        **({"license": licence} if licence else {}),
        "library_name": "keras",
        "pipeline_tag": "image-segmentation",
        "tags": ["semantic-segmentation", "road-scenes", MODEL],
        "model-index": [{"name": f"{MODEL}-{recorded.version}", "results": [result]}],
    }


def _text(recorded: Recorded, parents: list[str]) -> str:
    scores, stored = read_scores(recorded.evaluation), read_evaluation(recorded.evaluation)
    card, table = recorded.bundle.card, recorded.bundle.classes
    sections = {
        "Intended use": [
            f"It labels each pixel of a picture of a road, taken from a vehicle, with one of {table.count} classes of "
            f"the table `{table.name}`: {', '.join(table.names)}. It is made for offline work: labelling, search and "
            "statistics of drives. Nothing here shows that a vehicle may be steered by it.",
            f"`roadseg predict PICTURES --out FOLDER --model models:/{MODEL}/{recorded.version}`",
        ],
        "Figures": [_figures(scores)],
        "Limits": _limits(recorded, scores, stored),
        "Data": _data(recorded, scores),
        "Parents": (parents and ["\n".join(f"- {line}" for line in parents)])
        or ["none: it started from random weights"],
        **({"Encoder": [_encoder(encoder)]} if (encoder := recorded.bundle.card.get("encoder")) else {}),
        "Training": _training(recorded),
        "Classes": [_classes(recorded, scores)],
    }
    height, width = recorded.bundle.size
    parts = [
        f"{_title(recorded.version)}\nA U-Net (`{card['model']}`) for pictures brought to {width}x{height} pixels."
    ]
    for name, paragraphs in sections.items():
        parts.append(f"## {name}")
        parts += paragraphs
    return "\n\n".join(parts) + "\n"


def _figures(scores: dict[str, Any]) -> str:
    rows = [f"Validation split: {scores['images']} images of {_drives(scores['drives'])}.\n"]
    rows += ["| figure | value | 95 % over drives |", "|---|---|---|"]
    rows += [
        f"| {name} | {_figure(scores[name])} | {_interval(scores, f'{name}_low', f'{name}_high')} |"
        for name in scores
        if f"{name}_low" in scores and scores[name] is not None
    ]
    return "\n".join(rows)


def _classes(recorded: Recorded, scores: dict[str, Any]) -> str:
    rows = ["| class | IoU | 95 % over drives |", "|---|---|---|"]
    for entry in recorded.bundle.classes.classes:
        name = f"{entry.name} (protected)" if entry.protected else entry.name
        interval = _interval(scores, f"iou_low.{entry.name}", f"iou_high.{entry.name}")
        rows.append(f"| {name} | {_figure(scores.get(f'iou.{entry.name}'))} | {interval} |")
    return "\n".join(rows)


def _limits(recorded: Recorded, scores: dict[str, Any], stored: Evaluation) -> list[str]:
    names = recorded.bundle.classes.names
    known = sorted((scores[f"iou.{name}"], name) for name in names if scores.get(f"iou.{name}") is not None)
    lines = [f"- worst classes: {', '.join(f'{name} ({value:.3f})' for value, name in known[:WORST])}"]
    if unseen := [name for name in names if scores.get(f"iou.{name}") is None]:
        lines.append(f"- not judged, since no validation image has them: {', '.join(unseen)}")
    lines += [
        f"- {each.by} {each.name}: mIoU {each.miou:.3f}, {each.below:.3f} below the whole ({each.images} images)"
        for each in worst_slices(stored, WORST, least=3, quantiles=4)
        if each.below >= LEAST_BELOW
    ]
    lines.append("- other cameras, places, seasons and weather than those of its drives: unknown")
    return ["\n".join(lines)]


def _data(recorded: Recorded, scores: dict[str, Any]) -> list[str]:
    samples = pq.read_table(recorded.bundle.folder / "samples.parquet", columns=["drive"])
    drives = len(set(samples["drive"].drop_null().to_pylist()))
    said = [
        f"Trained on {samples.num_rows} images of {_drives(drives)}, judged on {scores['images']} images of "
        f"{_drives(scores['drives'], 'other ')}."
    ]
    pointer = recorded.origin.folder / paths.RAW_DVC
    if pointer.exists():
        md5 = yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0].get("md5", "?")
        said.append(f"`data/raw` in DVC: md5 `{md5}`.")
    return said


def _training(recorded: Recorded) -> list[str]:
    card, origin = recorded.bundle.card, recorded.origin
    around = ", ".join(
        f"{key} {value}" for key, value in vars(recorded.bundle.surroundings).items() if value is not None
    )
    params = ", ".join(f"{key} {value}" for key, value in card["params"].items())
    return [
        f"Commit `{origin.commit[:12] or 'none'}`, changes that were not committed: {origin.kept}. "
        f"{FINGERPRINT.removeprefix('roadseg.')} `{card['fingerprint'][:12]}`, weights `{card['weights'][:12]}`. "
        f"`roadseg reproduce {recorded.version}` makes it again.",
        f"With {around or 'surroundings that are not known'}. Parameters: {params}.",
    ]


def _encoder(encoder: dict[str, str]) -> str:
    return (
        f"{encoder['title']}, trained on {encoder['trained_on']}, from {encoder['source']}; licence of its weights, as "
        f"documented upstream: {encoder['licence']}. ImageNet's pictures have terms of their own."
    )


def _drives(count: int, which: str = "") -> str:
    return f"{count} {which}drive{'s' * (count != 1)}"


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4f}"


def _interval(scores: dict[str, Any], low: str, high: str) -> str:
    ends = scores.get(low), scores.get(high)
    return "" if None in ends else f"{ends[0]:.3f} to {ends[1]:.3f}"

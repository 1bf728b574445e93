"""The page about a decision of the gate: a view of reports/decision.json, one HTML file that works offline."""

from dataclasses import dataclass, field
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.gate.comparison import Comparison, without
from roadseg.gate.decision import Decision, Regression
from roadseg.gate.policy import Policy
from roadseg.gate.shadow import Shadow
from roadseg.imaging.pixels import Undecodable
from roadseg.pages import decision_figures as figures
from roadseg.pages.decision_pictures import Model, predicted_by_both
from roadseg.pages.examples import Example, Group
from roadseg.pages.rendering import render, write_page

SHOWN = 6  # images that lost most, and as many that gained most
SLICES = 12  # that are shown at once
REASONS = 5  # that are shown at once; slices that fall make many
Models = tuple[Model | None, Model | None]  # champion and candidate
TONES = {"PROMOTE": "accepted", "REJECT": "refused"}


@dataclass(frozen=True)
class Images:
    """What is shown of single images.

    Attributes:
        lost, gained: the images that changed most.
        why: why there are no pictures; empty where there are.
        groups, examples: the pictures, as on a model's page.
    """

    lost: list[Regression]
    gained: list[Regression]
    why: str = ""
    groups: list[Group] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)


def write_decision_page(
    tree: Path,
    out: Path,
    decision: Decision,
    candidate: Model | None = None,
    champion: Model | None = None,
    pictures: bool = True,
    shadow: Shadow | None = None,
) -> None:
    """Write the page of a decision; see `render_decision_page`."""
    write_page(out, render_decision_page(tree, decision, candidate, champion, pictures, shadow))


def render_decision_page(
    tree: Path,
    decision: Decision,
    candidate: Model | None = None,
    champion: Model | None = None,
    pictures: bool = True,
    shadow: Shadow | None = None,
) -> str:
    """Outcome, reasons, difference, rules, classes, slices, images, what was left out, policy and evidence, as HTML.

    Args:
        tree: a checkout; where its val images are those of the decision, they are shown.
        decision: what the gate answered.
        candidate, champion: what they answered on those images; None where it is not at hand, and the page says so.
        pictures: whether images are predicted anew and shown.
        shadow: what both said of requests that were served; None where no server compared them.

    Returns:
        HTML that needs no other file and holds no time or host.
    """
    compared = _compared(decision, candidate, champion)
    alone = decision.difference is None
    classes = candidate.evaluation.counts.classes if candidate else None
    return render(
        "decision.html",
        axis=figures.axis(decision),
        class_rows=figures.class_changes(compared, alone) if compared else [],
        classes=classes,
        decision=decision,
        images=None if alone else _images(tree, decision, compared, (champion, candidate), pictures),
        meanings={name: each.description for name, each in Policy.model_fields.items()},
        reasons=REASONS,
        rules=figures.rule_rows(decision),
        shadow=shadow,
        slices=figures.slice_changes(decision, compared),
        shown=SLICES,
        tone=TONES.get(decision.outcome, "held"),
    )


def _compared(decision: Decision, candidate: Model | None, champion: Model | None) -> Comparison | None:
    """The counts that decided; a model without one to compare with stands on both sides, as in the gate."""
    if candidate is None or not decision.images or (decision.difference and champion is None):
        return None
    out = {each.drive for each in decision.left_out}
    other = champion if decision.difference and champion else candidate
    return Comparison(without(other.evaluation, out), without(candidate.evaluation, out))


def _images(tree: Path, decision: Decision, compared: Comparison | None, models: Models, pictures: bool) -> Images:
    if compared is None:
        return Images(list(decision.regressions[:SHOWN]), [], "the counts of both models are not at hand")
    lost, gained = figures.moved(compared, SHOWN)
    if not pictures or not all(model and model.bundle for model in models):
        return Images(lost, gained, "the page was made without them")
    manifest = _manifest(tree)
    if manifest is None or manifest.digest("val") != compared.candidate.val_manifest:
        return Images(lost, gained, "this tree has other val images than those that decided")
    judged = {"champion": decision.champion, "candidate": decision.candidate}
    titles = [f"{role}, version {one.version}" for role, one in judged.items() if one]
    named = {title: model for title, model in zip(titles, models, strict=True) if model}
    try:
        return _drawn(lost, gained, manifest, tree / paths.RAW, named)
    except (Undecodable, OSError) as error:
        return Images(lost, gained, f"an image cannot be read ({error})")


def _drawn(
    lost: list[Regression], gained: list[Regression], manifest: Manifest, raw: Path, models: dict[str, Model]
) -> Images:
    listed, rows = [*lost, *gained], {row["sample"]: row for row in manifest.records("val")}
    groups = [
        Group("lost", "lost most", list(range(len(lost)))),
        Group("gained", "gained most", list(range(len(lost), len(listed)))),
    ]
    examples = []
    for place, shot in enumerate(predicted_by_both([rows[each.sample] for each in listed], raw, models)):
        places = {group.key: group.images.index(place) for group in groups if place in group.images}
        examples.append(Example(listed[place].sample, listed[place].after, listed[place].before, places, shot))
    return Images(lost, gained, "", [group for group in groups if group.images], examples)


def _manifest(tree: Path) -> Manifest | None:
    try:
        return read_manifest(tree / paths.MANIFEST)
    except UsageError:
        return None

"""Verdict, scores and decision in a few lines of Markdown, for places that show no HTML."""

from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.evaluation import read_evaluation, read_scores
from roadseg.gate.decision import Decision
from roadseg.pages.judgement import Expectation, Judgement, read_judgement
from roadseg.pages.model_figures import class_rows

REASONS = 10  # that are repeated; the page has more


def verdict_markdown(tree: Path) -> str:
    """Verdict, a table of expectations and the first reasons.

    Raises:
        UsageError: see `read_judgement`.
    """
    judgement = read_judgement(tree)
    samples = judgement.judged.rows.num_rows
    lines = [f"## Data {'accepted' if judgement.accepted else 'refused'}: {samples:,} samples judged", ""]
    lines += ["| result | expectation | severity | observed |", "|---|---|---|---|"]
    lines += [_row(expectation) for expectation in judgement.expectations]
    if reasons := _reasons(judgement):
        lines += ["", "First reasons, all of them in `reports/flagged.parquet`:", "", *reasons]
    return "\n".join(lines) + "\n"


def scores_markdown(tree: Path) -> str:
    """The score with its interval over drives, and a table: the means, then the classes, the one in most need first.

    Raises:
        UsageError: evaluate has not run in `tree`.
    """
    scores = read_scores(tree / paths.EVALUATION)
    rows = class_rows(read_evaluation(tree / paths.EVALUATION), scores, None)
    low, high = scores["miou_low"], scores["miou_high"]  # None with a single drive
    interval = "" if low is None else f" ({_figure(low)} to {_figure(high)} with 95 % over drives)"
    lines = [f"## Mean IoU {_figure(scores['miou'])}{interval}", ""]
    lines += [f"{scores['images']:,} images of {scores['drives']:,} drives, split {scores['split']}.", ""]
    lines += ["| class | IoU | precision | recall | mostly taken for |", "|---|---|---|---|---|"]
    means = " | ".join(_figure(scores[key]) for key in ("miou", "mprecision", "mrecall"))
    lines.append(f"| **mean** | {means} | |")
    for row in rows:
        figures = " | ".join(_figure(row.figures[key]) for key in ("iou", "precision", "recall"))
        taken_for = ", ".join(f"{name} {share:.0%}" for name, share in row.taken_for)
        lines.append(f"| {row.name} | {figures} | {taken_for} |")
    return "\n".join(lines) + "\n"


def decision_markdown(decision: Decision) -> str:
    """What the gate answered, its first reasons, and a table: a rule each, what does not hold first."""
    lines = [f"## {decision.outcome} version {decision.candidate.version}", ""]
    lines += [f"- {_code(reason)}" for reason in decision.reasons[:REASONS]]
    lines += ["", "| result | rule | bound | found |", "|---|---|---|---|"]
    for rule in sorted(decision.rules, key=lambda rule: rule.held is True):
        result = "holds" if rule.held else ("not known" if rule.held is None else "**broken**")
        found = "nothing to compare" if rule.figure is None else f"{rule.figure:.4g}"
        lines.append(f"| {result} | {_code(f'{rule.key} {rule.about}')} | {rule.bound:.4g} | {found} |")
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    return "absent" if value is None else f"{value:.3f}"


def _row(expectation: Expectation) -> str:
    result = "holds" if expectation.passed else ("**fails**" if expectation.severity == "critical" else "warns")
    return f"| {result} | {_code(expectation.name)} | {expectation.severity} | {_code(expectation.observed)} |"


def _reasons(judgement: Judgement) -> list[str]:
    reasons = [
        reason
        for expectation in judgement.failing
        for reason in [*expectation.reasons, *expectation.flagged["reason"].head(REASONS)]
    ]
    return [f"- {_code(reason)}" for reason in reasons[:REASONS]]


def _code(text: str) -> str:
    """A span of code: names of files are anybody's text, and Markdown would take them for links and HTML."""
    plain = " ".join(text.replace("`", "'").replace("|", "/").split())
    return f"`{plain}`"

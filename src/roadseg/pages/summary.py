"""The verdict in a few lines of Markdown, for places that show no HTML."""

from pathlib import Path

from roadseg.pages.judgement import Expectation, Judgement, read_judgement

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

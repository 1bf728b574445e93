"""What Prefect's run shows of data, model and decision: an artifact each, with the figures and links to the page."""

import os
from base64 import b64encode
from io import BytesIO
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from roadseg.contracts import paths
from roadseg.contracts.files import home
from roadseg.gate.decision import Decision
from roadseg.pages.summary import decision_markdown, scores_markdown, verdict_markdown
from roadseg.tracking.published import Published
from roadseg.tracking.sidecars import send_refusal
from roadseg.train.run.journal import read_journal, run_folder
from roadseg.train.run.watched import read_watched

PICTURE = 960  # pixels of the longer side: the page of a run shows it, and each run keeps one


@task(task_run_name="refused data")
def report_refusal(tree: Path) -> None:
    """Show why the data are refused; the refusal stands also where this fails."""
    try:
        _show_verdict(tree, send_refusal(tree))  # the stage has sent it, unless MLflow was away then
    except Exception as error:
        get_run_logger().warning("the refusal is not shown: %s: %s", type(error).__name__, error)


def show_why(changes: list[str], notes: tuple[str, ...]) -> None:
    """Show on the run's page what changed since the last one, and which revision and data are taken; no failure."""
    said = ["## What changed", "", *(f"- `{line}`" for line in changes)]
    said += ["", "## What is taken", "", *(f"- {note}" for note in notes)] if notes else []
    try:
        create_markdown_artifact(
            "\n".join(said) + "\n", key="retrain-why", description="Why this run does what it does"
        )
    except Exception as error:
        get_run_logger().warning("what changed is not shown: %s: %s", type(error).__name__, error)


def link_pages(tree: Path, published: Published) -> None:
    """Show the verdict on the data and the model's scores, with links to their pages in the MLflow run.

    Call it in a task; a failure is logged, since the training is published without it.
    """
    from roadseg.tracking import data_page, model_page  # late: MLflow loads in seconds

    try:
        _show_verdict(tree, data_page.page_link(published.run_id))
        link = model_page.model_page_link(published.run_id, published.evaluation)
        text = scores_markdown(tree) + _watched(published.fingerprint)
        _show("model-scores", "The scores of the model", text, tree / paths.MODEL_PAGE, link)
    except Exception as error:
        get_run_logger().warning("not all is shown: %s: %s", type(error).__name__, error)


def link_decision(folder: Path, decision: Decision) -> None:
    """Show what the gate answered, with a link to its page in the ledger and the one in the run's folder.

    Call it in a task; a failure is logged, since the decision stands without it.
    """
    from roadseg.registry.decision_page import ledger_page  # late: MLflow loads in seconds

    try:
        link, page = ledger_page(decision.candidate.version), folder / paths.DECISION_PAGE.name
        _show("gate-decision", "What the gate answered", decision_markdown(decision), page, link)
    except Exception as error:
        get_run_logger().warning("the decision is not shown: %s: %s", type(error).__name__, error)


def _show_verdict(tree: Path, link: str | None) -> None:
    _show("data-verdict", "The verdict on the data", verdict_markdown(tree), tree / paths.DATA_PAGE, link)


def _show(key: str, description: str, text: str, page: Path, link: str | None) -> None:
    create_markdown_artifact(with_places(text, page, link), key=key, description=description)


def _watched(fingerprint: str) -> str:
    """What the training saw last in a few monitored images, as a small picture; nothing where it kept none.

    With `ROADSEG_PICTURES=off` a training keeps none, and what an earlier one kept is not shown.
    """
    from roadseg.pages.pictures import watched_sheet  # late: Keras loads in seconds

    folder = run_folder(home(), fingerprint)
    epochs = [entry["step"] for entry in read_journal(folder)[0] if entry["kind"] == "image"]
    watched = read_watched(folder, max(epochs)) if epochs and os.environ.get("ROADSEG_PICTURES") != "off" else None
    if watched is None:
        return ""
    sheet, content = watched_sheet(watched), BytesIO()
    sheet.thumbnail((PICTURE, PICTURE))
    sheet.save(content, "JPEG", quality=70)
    return f"\n![image, truth, prediction](data:image/jpeg;base64,{b64encode(content.getvalue()).decode()})\n"


def with_places(text: str, page: Path, link: str | None) -> str:
    """Say between headline and table where the page is: many rows would hide what is below them.

    Args:
        text: Markdown, a table after what is said above it.
        page: on this machine.
        link: the page in MLflow, see `data_page.page_link`; None where MLflow did not take it.
    """
    headline, table = text.split("\n\n|", maxsplit=1)
    here = f"\n\nOn this machine: `{page}`" if page.exists() else ""
    return f"{headline}\n\n{_in_mlflow(page, link)}{here}\n\n|{table}"


def _in_mlflow(page: Path, link: str | None) -> str:
    if link is None and not page.exists():
        return f"No page was made; `roadseg report {page.stem}` makes one."
    if link is None:
        return f"MLflow did not take it; `roadseg report {page.stem}` makes it again."
    if not link.startswith("http"):
        return f"In MLflow: `{link}`"  # a file of the embedded store, which Prefect's page would not open
    return f"In MLflow: [{page.name}]({link}), [the run]({link.rpartition('/artifacts/')[0]})"

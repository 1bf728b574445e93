"""The verdict on the data in the Prefect run: an artifact with the table, the first reasons and links to the page."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from roadseg.contracts.files import home
from roadseg.pages.summary import verdict_markdown
from roadseg.tracking.beside import send_refusal

KEY, PAGE = "data-verdict", "reports/data.html"


@task(task_run_name="refused data")
def report_refusal(tree: Path) -> None:
    """Show why the data are refused; the refusal stands also where this fails."""
    try:
        _show(tree, send_refusal(tree, home()))  # the stage has sent it, unless MLflow was away then
    except Exception as error:
        get_run_logger().warning("the refusal is not shown: %s: %s", type(error).__name__, error)


def link_data_page(tree: Path, run_id: str) -> None:
    """Show the verdict that a training's data got, with a link to the page in its MLflow run.

    Call it in a task; a failure is logged, since the training is published without it.
    """
    from roadseg.tracking.data_page import page_link  # late: MLflow loads in seconds

    try:
        _show(tree, page_link(run_id))
    except Exception as error:
        get_run_logger().warning("the verdict is not shown: %s: %s", type(error).__name__, error)


def _show(tree: Path, link: str | None) -> None:
    lines = [verdict_markdown(tree), f"The page: `{tree / PAGE}`"]
    if link:  # Prefect's page opens no file: URL, so an embedded store's is text
        lines.append(f"In MLflow: [data.html]({link})" if link.startswith("http") else f"In MLflow: `{link}`")
    else:
        lines.append("MLflow did not take it; `roadseg report data` makes it again.")
    create_markdown_artifact("\n\n".join(lines), key=KEY, description="The verdict on the data")

"""The page about a decision, on this disk and in the ledger: a view, so that no fault of it stops a promotion."""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation
from roadseg.contracts.files import home, read_json, replacing, write_json
from roadseg.gate.decision import Decision, Judged
from roadseg.gate.shadow import Shadow, read_shadow
from roadseg.machine.signals import follow_parent
from roadseg.pages.decision_page import write_decision_page
from roadseg.pages.decision_pictures import Model
from roadseg.pipeline.sidecars import answer, ask
from roadseg.registry import ledger
from roadseg.registry.evidence.stored import Stored, fetched
from roadseg.tracking.data_page import page_link
from roadseg.tracking.store import artifact_names, connect

PATIENCE = 600.0  # seconds; a dozen images and two models
LOG = "decision-page.log"
REMEDY = "roadseg promote --dry-run"


def leave_page(client: MlflowClient, decision: Decision) -> bool:
    """Write reports/decision.html; what goes wrong is a warning, and no page of another decision stays there.

    The pictures are made in a process of its own, which has the models; without it the page comes without them.
    `ROADSEG_PAGES=off` makes no page.

    Returns:
        Whether the page is there.
    """
    paths.DECISION_PAGE.unlink(missing_ok=True)
    if os.environ.get("ROADSEG_PAGES") == "off":
        return False
    try:
        with TemporaryDirectory() as folder:
            asked, page = Path(folder, paths.DECISION.name), Path(folder, paths.DECISION_PAGE.name)
            write_json(asked, "decision", decision.to_json())
            drawn = decision.difference is not None
            drawn = drawn and bool(
                ask("roadseg.registry.decision_page", str(asked), str(page), log=LOG, patience=PATIENCE)
            )
            if not drawn:
                make_page(client, decision, page, pictures=False)
            with replacing(paths.DECISION_PAGE) as temporary:
                temporary.write_bytes(page.read_bytes())
    except Exception as error:
        print(f"warning: no page: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def send_page(client: MlflowClient, decision: Decision, run_id: str) -> None:
    """Send what `leave_page` wrote to a run of the ledger, without pictures where `ROADSEG_PICTURES` is off."""
    try:
        with TemporaryDirectory() as folder:
            page = paths.DECISION_PAGE
            if decision.difference is not None and os.environ.get("ROADSEG_PICTURES") == "off":
                page = Path(folder, paths.DECISION_PAGE.name)
                make_page(client, decision, page, pictures=False)
            client.log_artifact(run_id, str(page))
    except Exception as error:
        print(f"warning: the page is not in MLflow: {type(error).__name__}: {error}", file=sys.stderr)


def make_page(client: MlflowClient, decision: Decision, out: Path, pictures: bool = True) -> None:
    """Write the page of a decision with all that is known here or in MLflow of what both models answered.

    The tree in the current directory has the val images, where they are to be shown.
    """
    candidate, champion = answered_by(client, decision.candidate), answered_by(client, decision.champion)
    write_decision_page(Path.cwd(), out, decision, candidate, champion, pictures, _shadow(decision))


def _shadow(decision: Decision) -> Shadow | None:
    """What a server with this home saw of the pair, where the weights are theirs: numbers of versions come again."""
    if decision.champion is None:
        return None
    found = read_shadow(decision.champion.version, decision.candidate.version)
    weights = decision.champion.weights, decision.candidate.weights
    return found if found and (found.champion_weights, found.candidate_weights) == weights else None


def read_decision() -> Decision:
    """The decision that the last promotion left in this tree.

    Raises:
        UsageError: there is none, or it is damaged; says what to run.
    """
    return Decision.from_json(read_json(paths.DECISION, "decision", REMEDY))


def ledger_page(version: int) -> str | None:
    """Where people open the page of the last decision on a version, see `page_link`; None where MLflow has none."""
    client = connect()
    for entry in ledger.ledger_entries(client):
        if entry.tags.get("candidate") == str(version):
            there = paths.DECISION_PAGE.name in artifact_names(client, entry.run_id)
            return page_link(entry.run_id, paths.DECISION_PAGE.name) if there else None
    return None


def answered_by(client: MlflowClient, judged: Judged | None) -> Model | None:
    """The evaluation that was judged, by its input key, and the bundle; None where they are out of reach."""
    if judged is None or judged.key is None:
        return None
    try:
        stored = Stored.find(client, judged.version)
        return Model(_evaluation(stored, judged.key), stored.bundle.folder)
    except UsageError:
        return None


def _evaluation(stored: Stored, key: str) -> Evaluation:
    """The one that it was registered with, or one of another val split; both are here since the gate asked for them."""
    folder = home() / "reuse/scores" / key
    if not folder.is_dir() and stored.registered and key == stored.key:
        return stored.evaluation
    return read_evaluation(fetched(f"runs:/{stored.tags.get('run_id')}/evaluation/{key}", folder))


def main() -> None:
    """Make the page of a decision with pictures; see `leave_page`."""
    follow_parent()
    decision, page = Path(sys.argv[1]), Path(sys.argv[2])
    make_page(connect(), Decision.from_json(read_json(decision, "decision", REMEDY)), page)
    answer(page)


if __name__ == "__main__":
    main()

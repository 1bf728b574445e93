"""Which weights a version had when it became champion, by the ledger.

A trainer may write over a version's files and tags, for they lie in an experiment that trainers EDIT. The ledger is
READ for them, so what it says of the move is what whoever loads the version compares with.
"""

from mlflow import MlflowClient

from roadseg.contracts.errors import UsageError
from roadseg.registry import ledger


def promised_weights(client: MlflowClient, version: int) -> str | None:
    """Digest of the weights that a version was promoted with.

    Returns:
        None where the ledger does not say it: the version was moved by hand alone, by an earlier version of roadseg, or
        was never champion.
    """
    moves = (entry for entry in ledger.moves_to(client, version) if entry.tags.get("state") != ledger.UNDONE)
    return next((weights for entry in moves if (weights := entry.tags.get("weights"))), None)


def refuse_replaced(version: int, found: str, promised: str | None) -> None:
    """Refuse weights that are not those that a version was promoted with.

    Raises:
        UsageError: they differ; names both.
    """
    if promised not in (None, found):
        raise UsageError(
            f"version {version} became champion with the weights {str(promised)[:12]}, and MLflow holds {found[:12]}: "
            "somebody has replaced its files since; `roadseg rollback`, or register that model again and promote it"
        )

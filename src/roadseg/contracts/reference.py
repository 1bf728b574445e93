"""data/reference.json: class shares by split of the last accepted data, by which a shift is judged."""

from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import read_json, replacing, write_json
from roadseg.contracts.manifest import Manifest, Shares

REMEDY = "roadseg data import"
NONE = "{}\n"  # before any data were accepted


def write_reference(path: Path, accepted: Manifest) -> None:
    """Write the shares of accepted data."""
    write_json(path, "reference", {"classes": accepted.classes.name, "shares": accepted.class_shares()})


def write_no_reference(path: Path) -> None:
    """Write that no data were accepted yet."""
    with replacing(path) as temporary:
        temporary.write_text(NONE, encoding="utf-8")


def read_reference(path: Path, table: str) -> Shares:
    """Shares by split and class name; empty where there are none, or none of this class table.

    Args:
        path: the file.
        table: name of the class table that is in use.

    Raises:
        UsageError: missing, damaged or of another schema; says what to run.
    """
    try:
        if path.read_text(encoding="utf-8").strip() == NONE.strip():
            return {}
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: `{REMEDY}` writes it") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8 ({error}): `{REMEDY}` writes it") from None
    content = read_json(path, "reference", REMEDY)
    shares: Shares = content["shares"] if content["classes"] == table else {}
    return shares

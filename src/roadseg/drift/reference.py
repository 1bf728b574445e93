"""drift/reference.parquet: what new pictures are compared with, a row per image that the champion knows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import check_schema, replacing, schema_of

NAME, SCHEMA = "reference.parquet", "drift"
REMEDY = "roadseg drift FOLDER"


@dataclass(frozen=True)
class Reference:
    """What is known of a champion's data.

    Attributes:
        rows: `name`, `drive`, `split` and figures: those of the picture for train and val, of the answer for val only,
            since a model is surer of images that it was trained on.
        weights: digest of the model that answered.
        settings: of its predictor, with which new pictures must be answered too.
    """

    rows: pd.DataFrame
    weights: str
    settings: Mapping[str, Any]

    def split(self, name: str) -> pd.DataFrame:
        """The rows of train or val."""
        return self.rows[self.rows["split"] == name]


def write_seen(path: Path, reference: Reference) -> None:
    """Write it; equal rows give equal bytes."""
    settings = json.dumps(dict(reference.settings), sort_keys=True)
    about = {"schema": schema_of(SCHEMA), "weights": reference.weights, "settings": settings}
    table = pa.Table.from_pandas(reference.rows.sort_values(["split", "name"]), preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(about), temporary)


def read_seen(path: Path) -> Reference:
    """Read what `write_seen` wrote.

    Raises:
        UsageError: it is absent, damaged or of another schema; says what to run.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path} is missing or damaged ({error}): delete it and run `{REMEDY}`") from None
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    check_schema(path, about.get("schema"), SCHEMA, REMEDY)
    return Reference(table.to_pandas(), about["weights"], json.loads(about["settings"]))

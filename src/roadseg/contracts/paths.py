"""Where the files of a checkout stand, relative to the folder that holds dvc.yaml; tests hold dvc.yaml to it."""

from pathlib import Path

GRAPH, LOCK, PARAMS = Path("dvc.yaml"), Path("dvc.lock"), Path("params.yaml")

RAW, RAW_DVC = Path("data/raw"), Path("data/raw.dvc")
CLASSES = Path("data/classes.yaml")
QUARANTINE = Path("data/quarantine.csv")
SPLITS = Path("data/splits.csv")
REFERENCE = Path("data/reference.json")

SCAN = Path("data/scan.parquet")
MANIFEST = Path("data/manifest.parquet")
FLAGGED = Path("reports/flagged.parquet")
VERDICT = Path("reports/verdict.json")
SHARDS = Path("data/shards")
BUNDLE = Path("models/bundle")
HISTORY = Path("reports/history.csv")
MONITORED = Path("reports/monitored.json")
EVALUATION = Path("reports/evaluation")
METRICS = Path("metrics.json")

# Views of them, which no stage reads or writes.
DATA_PAGE, MODEL_PAGE = Path("reports/data.html"), Path("reports/model.html")
SEARCH_PAGE, LABELS_PAGE = Path("reports/search.html"), Path("reports/labels.html")
DECISION, DECISION_PAGE = Path("reports/decision.json"), Path("reports/decision.html")
PREDICTIONS = Path("reports/predictions.jpg")

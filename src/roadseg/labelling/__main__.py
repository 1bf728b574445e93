"""`python -m roadseg.labelling BATCH SOURCE PARTIAL REPORT`: one import in a process of its own, for the flow.

Scan's workers are forks, which a process with threads must not make. What was done is left in the file REPORT.
"""

import sys
from pathlib import Path

from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import write_json
from roadseg.labelling.batch import open_batch
from roadseg.labelling.take import import_batch
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.environment import settle


def main() -> None:
    """Import into the tree that is the current folder."""
    settle()
    follow_parent()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe would show lines late
    name, source, partial, report = sys.argv[1:]
    try:
        taken = import_batch(Path.cwd(), open_batch(name), Path(source), partial=partial == "partial")
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    told = {"drives": taken.drives, "new": taken.new, "left_out": taken.left_out, "pictures": taken.pictures}
    pixels, kept = int(taken.counts.sum()), int(taken.counts.trace())
    write_json(Path(report), "labels-taken", told | {"pixels": pixels, "changed": pixels - kept})


if __name__ == "__main__":
    main()

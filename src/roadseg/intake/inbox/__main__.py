"""`python -m roadseg.intake.inbox STATE OPTIONS REPORT`: one look in a process of its own, for the flow.

Scan's workers are forks, which a process with threads must not make. What was done is left in the file REPORT; the
caller calls `finish` when the data are where they belong.
"""

import sys
from pathlib import Path

from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import write_json
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.take import take
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.environment import settle


def main() -> None:
    """Take what is new into the tree that is the current folder."""
    settle()
    follow_parent()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe would show lines late
    state, options, report = sys.argv[1:]
    try:
        with looking(state) as memory:
            done = take(Path.cwd(), Inbox.model_validate_json(options), memory)
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    write_json(Path(report), "ingested", done.content())
    print("\n".join(done.lines()))


if __name__ == "__main__":
    main()

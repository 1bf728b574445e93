"""`python -m roadseg` and the console script: run a verb, and turn errors into lines and exit codes."""

import sys

from roadseg.pipeline.environment import settle
from roadseg.tracking.outage import told


def main() -> None:
    """Run the command line."""
    settle()
    from roadseg.cli.app import app

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe would show lines late
    try:
        app(standalone_mode=True)
    except Exception as error:
        if (line := told(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(line.exit_code)


if __name__ == "__main__":
    main()

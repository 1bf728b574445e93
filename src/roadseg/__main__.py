"""`python -m roadseg` and the console script: run a verb, and turn errors into lines and exit codes."""

import sys

from roadseg.contracts.errors import RoadsegError
from roadseg.pipeline.environment import settle


def main() -> None:
    """Run the command line."""
    settle()
    from roadseg.cli.app import app

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe would show lines late
    try:
        app(standalone_mode=True)
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

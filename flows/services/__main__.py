"""`python -m flows.services up|down|ui`: what `make up`, `make down` and `make ui` run."""

import sys

from flows.ready import make_ready
from flows.services.commands import down, ui, up
from roadseg.contracts.errors import RoadsegError

COMMANDS = {"up": up, "down": down, "ui": ui}

if __name__ == "__main__":
    make_ready()
    try:
        COMMANDS[sys.argv[1]]()
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

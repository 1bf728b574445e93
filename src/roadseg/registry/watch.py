"""Tell a server which versions the aliases point to, and fetch them: a process beside it, which alone knows MLflow.

`python -m roadseg.registry.watch ALIAS...` prints a line of JSON after each look: what stands at each alias, or what is
wrong. An MLflow that hangs or is away stops nothing but this.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient

from roadseg.machine.signals import follow_parent
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.versions import version_at
from roadseg.tracking.outage import told
from roadseg.tracking.store import connect

PAUSE = 10.0  # seconds between looks; behind a login one costs the server a second


@dataclass
class Watch:
    """Looks at aliases; a version that is fetched and checked once is not fetched again."""

    aliases: list[str]
    known: dict[int, dict[str, Any]] = field(default_factory=dict)

    def look(self) -> dict[str, Any]:
        """What to say: `found` by alias, None where it points nowhere, and `problem`, empty where there is none."""
        found, problems = {}, []
        for alias in self.aliases:
            try:
                found[alias] = self._at(connect(), alias)
            except Exception as error:
                if (line := told(error)) is None and not isinstance(error, OSError):
                    raise
                problems.append(str(line or error))
        return {"found": found, "problem": "; ".join(dict.fromkeys(problems))}

    def _at(self, client: MlflowClient, alias: str) -> dict[str, Any] | None:
        if (version := version_at(client, alias)) is None:
            return None
        if version not in self.known or not self.known[version]["folder"].is_dir():  # a damaged copy is taken away
            bundle = Stored.find(client, version).bundle
            self.known[version] = {"version": version, "folder": bundle.folder, "weights": bundle.card["weights"]}
        return self.known[version]


def main() -> None:
    """Look until the server ends."""
    follow_parent()
    watch = Watch(sys.argv[1:])
    while True:
        print(json.dumps(watch.look(), default=str), flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()

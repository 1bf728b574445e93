"""`roadseg doctor`: what this machine has, what is wrong, and what would be chosen."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roadseg.contracts.errors import DONE, USAGE


def doctor(
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    backend: Annotated[
        bool, typer.Option("--backend", help="Load Keras' backend too and ask for its devices.")
    ] = False,
) -> None:
    """Say what this machine has, what is wrong with it, and what the pipeline would choose.

    Exits 2 where something would stop the pipeline.

    Examples: `roadseg doctor`; `roadseg doctor --json`
    """
    from roadseg.doctor.examine import examine
    from roadseg.pipeline.runner import SECTIONS

    findings = examine(Path.cwd(), SECTIONS, backend)
    stops = any(finding.stops for finding in findings)
    if json:
        print(json_module.dumps({"stops": stops, "findings": [asdict(finding) for finding in findings]}, indent=1))
        raise typer.Exit(USAGE if stops else DONE)
    table = Table("", "", title="roadseg doctor", title_justify="left")
    table.add_column("found", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for before, finding in zip([None, *findings], findings, strict=False):
        if before and before.topic != finding.topic:
            table.add_section()
        colour = "red" if finding.stops else "yellow"
        topic = "" if before and before.topic == finding.topic else finding.topic
        said = f"[{colour}]{escape(finding.problem)}[/]" if finding.problem else ""
        table.add_row(topic, finding.name, escape(finding.found), said)
    Console().print(table)
    print("something would stop the pipeline" if stops else "nothing would stop the pipeline")
    raise typer.Exit(USAGE if stops else DONE)

"""The command line: `roadseg --help` is its own documentation."""

import typer

from roadseg.cli import data, gate, label, models, people, report, runs
from roadseg.cli.compare import compare_scores
from roadseg.cli.doctor import doctor
from roadseg.cli.drift import drift
from roadseg.cli.export import export
from roadseg.cli.gc import gc
from roadseg.cli.params import params
from roadseg.cli.predict import predict
from roadseg.cli.reproduce import reproduce
from roadseg.cli.serve import serve, shadow
from roadseg.cli.slices import slice_
from roadseg.cli.stages import run_verb
from roadseg.pipeline.runner import STAGES

app = typer.Typer(
    help="Versioned data, one stage graph, tracked training and gated promotion for road scenes.",
    epilog="Start: `make demo`. With your data: `roadseg data import ARCHIVE`, then `dvc repro`, then "
    "`roadseg publish`, `roadseg register`, `roadseg promote`. Exit codes: 0 done, 1 defect, 2 usage, "
    "3 data refused, 4 hold or reject, 5 busy, 75 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(report.app, name="report")
app.add_typer(runs.app, name="runs")
app.add_typer(people.app, name="people")
app.command()(params)
app.command("slice")(slice_)
app.command("compare")(compare_scores)
app.add_typer(label.app, name="label")
app.command("labels", hidden=True)(label.labels)
app.command()(drift)
app.command()(doctor)
app.command()(reproduce)
app.command()(gc)
app.command("why")(runs.why_rerun)
app.command()(serve)
app.command()(shadow)
for verb in (predict, export, models.score, models.publish, models.register, gate.promote, gate.rollback):
    app.command()(verb)


def _stage(name: str) -> None:
    module = STAGES[name]
    summary = (module.__doc__ or "").strip().removeprefix(f"Stage {name}: ")
    reads, writes = (", ".join(map(str, files)) for files in (module.READS, module.WRITES))
    text = f"Stage {name}: {summary}\n\nReads {reads}; writes {writes}. "
    text += f"DVC calls this with what it needs.\n\nExample: `dvc repro {name}`"

    @app.command(name, help=text, rich_help_panel="Stages (run them with dvc repro)")
    def command() -> None:
        raise typer.Exit(run_verb(name))


for stage_name in STAGES:
    _stage(stage_name)

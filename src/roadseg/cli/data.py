"""`roadseg data`: bring data in, or make some."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from roadseg.contracts import paths

app = typer.Typer(help="Bring data in, make some, leave samples out.", no_args_is_help=True)


LAYOUT = typer.Option(help="idd-lite, idd-20k, numbered or folders; auto looks. Kept as scan.layout in params.yaml.")
CLASSES = typer.Option(
    help="Class table: idd-level1, idd-level2, idd-level3, road or a .yaml file; else that in use (idd-level1)."
)


@app.command("import")
def import_(  # long by its help, which teaches class tables
    source: Annotated[Path, typer.Argument(help="Archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz) or folder.")],
    layout: Annotated[str | None, LAYOUT] = None,
    classes: Annotated[str | None, CLASSES] = None,
    images: Annotated[
        str | None, typer.Option(help="Where images are: 'rgb/{split}/{drive}/{id}.jpg'. Kept as scan.images.")
    ] = None,
    masks: Annotated[
        str | None, typer.Option(help="Where masks are: 'ids/{split}/{drive}/{id}.png'. Kept as scan.masks.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the data set; else the source's without ending, or with --add as before: scan.dataset."),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Add what is new to data/raw instead of replacing it.")] = False,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        typer.Option(help="With --add: the split of the drives that are new, kept in data/splits.csv."),
    ] = None,
) -> None:
    """Put a data set at data/raw in its own layout and give it to DVC.

    What stood there before is committed to DVC's cache first; a broken archive changes nothing. With --add equal
    files are passed over, and a file that differs from the one of its name is named and nothing changed.

    A class table says what masks hold: `name: mine`, then `classes:` with a line
    `- {id: 0, name: road, color: [128, 64, 128], values: [7], protected: false}` each. Ids count from 0; `values` are
    what masks store (the id, if left out), `labels` the names in polygon files (the name), `void` what counts as
    nothing (255 always does). `source: color` reads masks of colours, with `void_colors`.

    Drives of equal name are one where their data sets are called alike: give a set that you import anew, or a part of
    it, the --name that it had, so that the gate knows what a model was trained on.

    The split is that of data/splits.csv, which --split writes, of the folders, of train.txt and val.txt, or made by
    drive: see `scan` in params.yaml.

    Examples: `roadseg data import idd20k_lite.tar.gz`, then `dvc repro`; `roadseg data import idd-20k-II.tar.gz --add`;
    `roadseg data import my-frames --layout folders --classes my-classes.yaml`
    """
    from roadseg.contracts.classes import ClassTable
    from roadseg.contracts.errors import UsageError
    from roadseg.intake.install import install
    from roadseg.intake.merge import merge
    from roadseg.pretrained.wheels import hint

    if split and not add:
        raise UsageError("--split is for --add: folders, lists or a made split decide of a whole data set")
    chosen = ClassTable.find(classes) if classes else None
    found_by = {"layout": layout, "images": images, "masks": masks}
    if add:
        done = merge(Path.cwd(), source, chosen, name=name, split=split, **found_by)
        print(f"data/raw: {done.new} new files of {source.name} added, {done.known} were there; next: dvc repro")
        return
    found = install(Path.cwd(), source, chosen, name=name, **found_by)
    table = ClassTable.read(paths.CLASSES)
    print(f"data/raw holds {source.name} (layout {found}, classes {table.name}); next: dvc repro")
    print(hint())


@app.command()
def ingest(
    folder: Annotated[str, typer.Argument(help="Where drives arrive: a folder, or s3://BUCKET/PREFIX.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and tell, change nothing.")] = False,
    quiet: Annotated[float, typer.Option(min=0, max=1800, help="Seconds that a delivery must stand still.")] = 10.0,
    days: Annotated[int, typer.Option(min=0, max=3650, help="Days that images wait for their masks.")] = 14,
    move: Annotated[bool, typer.Option("--move", help="Move what was taken to taken/ beside the folder.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Judge what was refused before once more.")] = False,
) -> None:
    """Take what has arrived in a folder: judge each new drive beside data/raw, add the good ones, refuse the others.

    A drive that is refused lies in refused/ beside the folder with the reasons; one that lacks masks waits for them.
    What was taken before is known by its content and passed over. The folder's files stay where they are. Of a bucket
    home keeps a copy; `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` say how to reach it.

    Examples: `roadseg data ingest /srv/inbox --dry-run`; `roadseg data ingest s3://arrivals/new`, then `dvc repro`
    """
    from roadseg.contracts.errors import UsageError
    from roadseg.intake.inbox.memory import looking, of_tree
    from roadseg.intake.inbox.options import Inbox
    from roadseg.intake.inbox.take import finish, take

    after: Literal["move", "keep"] = "move" if move else "keep"
    patience = max(2 * quiet, 60.0)  # seconds
    if folder.startswith("s3://") and (move or not folder.removeprefix("s3://").strip("/")):
        raise UsageError(f"{folder}: give s3://BUCKET/PREFIX without --move; in a bucket nothing is moved")
    place = folder if folder.startswith("s3://") else str(Path(folder).absolute())
    inbox = Inbox(folder=place, quiet=quiet, patience=patience, days=days, after=after, again=again)
    with looking(of_tree(Path.cwd())) as memory:
        report = take(Path.cwd(), inbox, memory, dry_run=dry_run)
        moved = [] if dry_run else finish(inbox, memory, report)
    print("\n".join([*report.lines(), *moved]) or f"nothing new has arrived in {folder}")
    if report.new:
        print(f"data/raw: {report.new} new files; next: dvc repro")


@app.command()
def synthetic(
    destination: Annotated[Path, typer.Argument(help="Folder to make; must not exist or be empty.")],
    train: Annotated[int, typer.Option(min=1, help="Training images.")] = 128,
    val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 32,
    test: Annotated[int, typer.Option(min=0, help="Test images, without masks.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal files.")] = 0,
) -> None:
    """Generate road scenes with masks in the layout of IDD Lite.

    Example: `roadseg data synthetic scenes --train 64 --val 16`, then `roadseg data import scenes`
    """
    from rich.progress import Progress

    from roadseg.contracts.errors import UsageError
    from roadseg.synthetic.dataset import generate

    with Progress() as progress:
        task = progress.add_task("scenes", total=train + val + test)
        try:
            generate(destination, train=train, val=val, test=test, seed=seed, progress=lambda: progress.advance(task))
        except ValueError as error:
            raise UsageError(str(error)) from None
    print(f"{train} training, {val} validation and {test} test scenes in {destination}")


Samples = Annotated[
    list[str] | None, typer.Argument(help="Names as in reports/flagged.parquet, such as train/12/0045.")
]


@app.command()
def quarantine(
    samples: Samples = None,
    expectation: Annotated[str | None, typer.Option(help="All that this expectation flagged.")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the list; else what validate said.")] = "",
) -> None:
    """Leave samples out of the pipeline: data/quarantine.csv lists them, nothing is moved or deleted.

    Without arguments it shows the list.

    Examples: `roadseg data quarantine --expectation mask_size`; `roadseg data quarantine train/12/0045 --reason fog`
    """
    from roadseg.intake.quarantine import quarantine as leave_out

    if not samples and expectation is None:
        _show_quarantine()
        return
    added = leave_out(Path.cwd(), samples or [], expectation, reason)
    print(f"samples left out from now on: {len(added)} (data/quarantine.csv); next: dvc repro")


@app.command()
def restore(
    samples: Samples = None,
    expectation: Annotated[str | None, typer.Option(help="All that were left out for this expectation.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Take samples back in that were left out.

    Examples: `roadseg data restore train/12/0045`; `roadseg data restore --all`
    """
    from roadseg.intake.quarantine import restore as take_back

    gone = take_back(Path.cwd(), samples or [], expectation, everything)
    print(f"samples back in: {len(gone)}; next: dvc repro")


@app.command("adopt")
def adopt_data(
    revision: Annotated[str, typer.Argument(help="A commit or a branch whose data files shall be used.")],
) -> None:
    """Settle which data the deployments use, where a commit and the branch roadseg/data both changed them.

    The other side stays in the branch's history. Your own files and branches stay as they are.

    Examples: `roadseg data adopt main`; `roadseg data adopt roadseg/data`
    """
    from roadseg.workspace.data_branch import adopt

    adopted = adopt(Path.cwd(), revision)
    print(f"{adopted.branch} is at {adopted.commit[:9]} now, with the data files of {revision}")
    if adopted.problem:
        print(f"warning: {adopted.problem}")


@app.command("card")
def data_card(
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSON-LD file.")] = Path("croissant.json"),
    name: Annotated[str | None, typer.Option(help="Of the data set; else as it was imported.")] = None,
    licence: Annotated[str | None, typer.Option("--license", help="A URL or an SPDX name.")] = None,
    url: Annotated[str | None, typer.Option(help="Of the data set's page.")] = None,
) -> None:
    """Write the data's card as Croissant JSON-LD: splits, classes, drives and samples, from the manifest.

    It names every drive and file, so look at it before it goes to others.

    Example: `roadseg data card --name my-frames --license CC-BY-4.0`
    """
    from roadseg.intake.croissant import write_data_card

    write_data_card(Path.cwd(), out, name=name, licence=licence, url=url)
    print(f"card: {out}")


def _show_quarantine() -> None:
    from rich.console import Console
    from rich.table import Table

    from roadseg.contracts.quarantine import read_quarantine

    entries = read_quarantine(paths.QUARANTINE)
    if not entries:
        print("no sample is left out; `roadseg data quarantine --help` says how")
        return
    table = Table("sample", "reason", title=f"samples left out: {len(entries)}", title_justify="left")
    for entry in entries:
        table.add_row(entry.sample, entry.reason)
    Console().print(table)

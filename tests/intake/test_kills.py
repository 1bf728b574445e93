"""An import and an addition are killed once at every named place; the next one ends where an undisturbed one does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import failpoint
from roadseg.intake.install import install
from roadseg.intake.merge import merge
from roadseg.intake.places import FAILPOINTS

from .conftest import NEW, OLD, contents, put

Work = Callable[[Path, Path], object]
Killed = Callable[[Path, str, Callable[[], object]], bool]


def replace(tree: Path, source: Path) -> object:
    return install(tree, source, ClassTable.find("road"), layout="idd-lite")


def add(tree: Path, source: Path) -> object:
    return merge(tree, source, ClassTable.find("road"), layout="idd-lite")


def reached(work: Work) -> list[str]:
    """The places that are not of the other work alone; a list or a reference that is there is not written again."""
    foreign = "add:" if work is replace else "import:"
    kept = ("quarantine.csv:", "reference.json:", "splits.csv:")
    return [point for point in FAILPOINTS if not point.startswith((foreign, *kept, "recover:"))]


RECOVERING = [point for point in FAILPOINTS if point.startswith("recover:")]
CASES = [  # the work, where it is killed first, and where it is killed again, if at all, while it recovers
    *((work, point, None) for work in (replace, add) for point in reached(work)),
    *((replace, "import:move-new", point) for point in RECOVERING),
    *((replace, "import:moved", point) for point in ("recover:synced", "recover:done")),
    *((add, "add:begun", point) for point in ("add:move", "add:moved", "add:merged")),
]


@pytest.mark.parametrize(
    ("work", "point", "again"), CASES, ids=["-".join((work.__name__, *filter(None, points))) for work, *points in CASES]
)
def test_the_work_again_ends_as_if_undisturbed_and_the_old_data_are_never_lost(
    make_tree: Callable[[str], Path],
    tmp_path: Path,
    cached: Path,
    killed: Killed,
    work: Work,
    point: str,
    again: str | None,
) -> None:
    tree, undisturbed, source = make_tree("tree"), make_tree("undisturbed"), put(tmp_path / "new", NEW)
    for copy in sorted(cached.iterdir()):  # so that what the import itself keeps is told apart
        copy.rename(tmp_path / f"before-{copy.name}")
    work(undisturbed, source)
    for copy in sorted(cached.iterdir()):
        copy.rename(tmp_path / f"undisturbed-{copy.name}")

    for place in filter(None, (point, again)):
        assert killed(tree, place, lambda: work(tree, source))
    places = [tree / "data/raw", tree / "data/.replaced", *cached.iterdir()]
    assert any(OLD.items() <= contents(place).items() for place in places)
    work(tree, source)
    assert contents(tree) == contents(undisturbed)
    assert contents(tree / "data/raw") == (NEW if work is replace else OLD | NEW)


@pytest.mark.parametrize("point", [point for point in FAILPOINTS if point.startswith(("quarantine", "reference"))])
def test_a_first_import_is_made_whole_by_the_next(
    tmp_path: Path, cached: Path, killed: Killed, idd_level1: ClassTable, point: str
) -> None:
    source = put(tmp_path / "new", NEW)
    trees = [
        put(tmp_path / name, {"dvc.yaml": b"stages: {}\n", "params.yaml": b""}) for name in ("tree", "undisturbed")
    ]
    for tree in trees:
        (tree / ".dvc").mkdir()
    first: Work = lambda tree, source: install(tree, source, idd_level1)  # noqa: E731
    assert killed(trees[0], point, lambda: first(trees[0], source))
    for tree in trees:
        first(tree, source)
    assert contents(trees[0]) == contents(trees[1])


@pytest.mark.parametrize("point", ["add:begun", "add:move", "add:moved", "add:merged"])
def test_an_addition_that_had_begun_is_completed_by_any_next_import_even_a_refused_one(
    make_tree: Callable[[str], Path], tmp_path: Path, killed: Killed, point: str
) -> None:
    tree = make_tree("tree")
    assert killed(tree, point, lambda: add(tree, put(tmp_path / "new", NEW)))
    with pytest.raises(Exception, match="no such file or folder"):
        add(tree, tmp_path / "nowhere.zip")
    assert contents(tree / "data/raw") == OLD | NEW
    assert not (tree / "data/.merge").exists()


def test_without_the_variable_nothing_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_FAILPOINT", "another")
    failpoint("here")
    monkeypatch.delenv("ROADSEG_FAILPOINT")
    failpoint("here")

"""Documents lead where they say, and nothing leads to what a clone does not hold."""

import re
import subprocess
from pathlib import Path

import pytest
from trees import ROOT

LISTED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
)
TRACKED = [name for name in LISTED.stdout.split("\0") if name and (ROOT / name).exists()]
DOCUMENTS = [name for name in TRACKED if name.endswith(".md")]
TEXTS = [name for name in TRACKED if name.endswith((".py", ".md", ".yaml", ".toml", ".conf")) or name == "Makefile"]
FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What links may name in a document, as GitHub makes it from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", (ROOT / name).read_text())):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), f"{name}: {target} is not there"
        assert not anchor or anchor in anchors(path), f"{name}: {target} has no such heading"


def test_the_readme_and_the_architecture_know_every_room() -> None:
    rooms = {name.split("/")[2] for name in TRACKED if name.startswith("src/roadseg/") and name.count("/") > 2}
    folders = {name.split("/")[0] for name in TRACKED if "/" in name} - {"src"}
    for document in ("README.md", "docs/architecture.md"):
        text = (ROOT / document).read_text()
        missing = [room for room in sorted(rooms | folders) if not re.search(rf"[`/]{re.escape(room)}/", text)]
        assert not missing, f"{document} says nothing of {', '.join(missing)}"


def test_documents_that_are_cited_are_there() -> None:
    there = {Path(name).name for name in DOCUMENTS}
    for name in TEXTS:
        cited = {Path(each).name for each in re.findall(r"[\w./-]*\w\.md\b", (ROOT / name).read_text())}
        assert cited <= there, f"{name} cites {', '.join(sorted(cited - there))}, which is not in the project"


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if not name.startswith("docs/results/")])
def test_no_line_of_a_document_is_longer_than_120(name: str) -> None:
    longest = max(FENCED.sub("", (ROOT / name).read_text()).splitlines(), key=len)
    assert len(longest) <= 120, longest

from pathlib import Path

from judged import expectation, sample_row, write_tree

from roadseg.pages.summary import REASONS, verdict_markdown


def test_a_refusal_is_told_with_its_table_and_first_reasons(refused: Path) -> None:
    said = verdict_markdown(refused).splitlines()
    assert said[0] == "## Data refused: 27 samples judged"
    assert "| **fails** | `files_decode` | critical | `2 of 27 samples` |" in said
    assert "| warns | `brightness` | warning | `15 of 27 samples` |" in said
    assert "- `cut`" in said
    assert sum(line.startswith("- ") for line in said) == REASONS


def test_acceptance_is_told(accepted: Path) -> None:
    assert verdict_markdown(accepted).startswith("## Data accepted: 28 samples judged\n")


def test_no_name_becomes_markup(tmp_path: Path) -> None:
    reason = "a`b`[link](http://evil.example)|<b>\n# head"
    listed = [{"sample": "train/a/0", "expectation": "e", "severity": "critical", "reason": reason}]
    tree = write_tree(tmp_path, [sample_row("train", "a", "0")], [expectation("e", "critical", 1, 1)], listed)
    assert verdict_markdown(tree).splitlines()[-1] == "- `a'b'[link](http://evil.example)/<b> # head`"

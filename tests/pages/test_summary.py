import json
from pathlib import Path

from judged import expectation, sample_row, write_tree

from roadseg.pages.summary import REASONS, scores_markdown, verdict_markdown


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


def test_scores_are_told_with_the_class_in_most_need_first(evaluated: Path) -> None:
    scores = json.loads((evaluated / "metrics.json").read_text())
    said = scores_markdown(evaluated).splitlines()
    assert said[0].startswith(f"## Mean IoU {scores['miou']:.3f} ({scores['miou_low']:.3f} to ")
    assert said[2] == "6 images of 3 drives, split val."
    rows = [line.split(" | ") for line in said if line.startswith("| ")][1:]
    assert {row[0].removeprefix("| "): row[1] for row in rows} == {
        key.removeprefix("iou."): f"{value:.3f}" for key, value in scores.items() if key.startswith("iou.")
    }
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)

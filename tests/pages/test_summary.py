import json
import re
from dataclasses import replace
from pathlib import Path

from judged import HOSTILE, expectation, sample_row, write_tree
from rivals import losing, models, policy

from roadseg.contracts.evaluation import Evaluation, read_evaluation
from roadseg.evaluate.write import write_scores
from roadseg.gate.decide import decide
from roadseg.pages.summary import REASONS, decision_markdown, scores_markdown, verdict_markdown


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
    mean, *rows = [line.split(" | ") for line in said if line.startswith("| ")][1:]
    means = [f"{scores[name]:.3f}" for name in ("miou", "mprecision", "mrecall")]
    assert mean[:4] == ["| **mean**", *means]
    assert {row[0].removeprefix("| "): row[1] for row in rows} == {
        key.removeprefix("iou."): f"{value:.3f}" for key, value in scores.items() if key.startswith("iou.")
    }
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)


def test_scores_of_a_single_drive_are_told_without_an_interval(evaluated: Path, tmp_path: Path) -> None:
    stored = read_evaluation(evaluated / "reports/evaluation")
    alone = Evaluation(stored.images.slice(0, 1), stored.counts[:1])
    write_scores(tmp_path / "reports/evaluation", tmp_path / "metrics.json", alone, resamples=100, seed=0)
    assert re.fullmatch(r"## Mean IoU 0\.\d{3}", scores_markdown(tmp_path).splitlines()[0])


def test_a_decision_is_told_with_its_first_reasons_and_every_rule_what_is_broken_first() -> None:
    candidate, champion = models(0.0)
    decision = decide(losing(candidate, slice(None), 0.2), champion, policy())
    said = decision_markdown(decision).splitlines()
    assert said[0] == "## REJECT version 2"
    assert [line[3:-1] for line in said if line.startswith("- ")] == list(decision.reasons[:REASONS])
    results = [line.split(" | ")[0] for line in said if line.startswith("| ")][1:]
    assert len(results) == len(decision.rules)
    assert results == sorted(results, key=lambda each: each == "| holds")
    assert results.count("| **broken**") == sum(rule.held is False for rule in decision.rules) > 0
    hostile = decision_markdown(replace(decision, reasons=(f"`{HOSTILE}`|",), rules=()))
    assert f"- `'{HOSTILE}'/`" in hostile

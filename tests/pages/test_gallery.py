from pathlib import Path

import pytest
from judged import expectation, sample_row, write_files, write_tree

from roadseg.pages.gallery import ALL_CARDS, CARDS, NAMED, galleries
from roadseg.pages.judgement import read_judgement


@pytest.mark.parametrize(("failing", "flagged"), [(1, 5), (1, 1000), (30, 1000), (200, 20)])
def test_every_failing_sample_is_shown_named_or_counted_within_bounds(
    tmp_path: Path, failing: int, flagged: int
) -> None:
    rows = [sample_row("train", "a", f"{number:04}") for number in range(flagged)]
    names = [f"expectation_{number}" for number in range(failing)]
    listed = [
        {"sample": row["sample"], "expectation": name, "severity": "critical", "reason": "bad"}
        for name in names
        for row in rows
    ]
    write_tree(tmp_path, rows, [expectation(name, "critical", flagged, flagged) for name in names], listed)
    shown = galleries(read_judgement(tmp_path), tmp_path / "data/raw", pictures=True)
    assert [gallery.expectation.name for gallery in shown] == names
    assert sum(len(gallery.cards) for gallery in shown) <= max(ALL_CARDS, failing)
    for gallery in shown:
        assert 1 <= len(gallery.cards) <= CARDS
        assert len(gallery.named) <= NAMED
        assert len(gallery.cards) + len(gallery.named) + gallery.unnamed == flagged
        order = [card.sample for card in gallery.cards] + [sample for sample, _ in gallery.named]
        assert order == [row["sample"] for row in rows][: len(order)]


def test_two_files_of_one_sample_are_each_shown_with_their_own_picture(tmp_path: Path) -> None:
    rows = [sample_row("val", "a", "0"), sample_row("val", "a", "0", image="val/a/0.bmp")]
    write_files(tmp_path / "data/raw", rows[1])
    listed = [
        {"sample": row["sample"], "expectation": "sample_unique", "severity": "critical", "reason": row["image"]}
        for row in rows
    ]
    write_tree(tmp_path, rows, [expectation("sample_unique", "critical", 2, 2)], listed)
    [gallery] = galleries(read_judgement(tmp_path), tmp_path / "data/raw", pictures=True)
    pictures = {card.reason: bool(card.image and card.image.uri) for card in gallery.cards}
    assert pictures == {"val/a/0.jpg": False, "val/a/0.bmp": True}

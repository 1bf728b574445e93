"""MLCommons' own library takes the card of the data, and loads what it names."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import mlcroissant
import pytest
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.intake.croissant import CONTEXT, write_data_card

SPLITS = {"train": "12", "val": "78", "test": None}


@pytest.fixture
def tree(tmp_path: Path, idd_level1: ClassTable) -> Path:
    rows = [
        {
            "sample": f"{split}/{drive}/{number}",
            "image": f"{split}/{number}.jpg",
            "mask": None if split == "test" else f"{split}/{number}.png",
            "drive": drive,
            "split": split,
            "image_sha": f"{number}" * 64,
            "mask_sha": None if split == "test" else f"{number}" * 64,
            "height": 227,
            "width": 320,
        }
        for split, drives in SPLITS.items()
        for drive in drives or (None,)
        for number in range(3)
    ]
    write_manifest(tmp_path / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
    return tmp_path


@pytest.fixture
def loaded(tree: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., mlcroissant.Dataset]:
    def load(**given: str) -> mlcroissant.Dataset:
        write_data_card(tree, tree / "croissant.json", name="my-frames", **given)
        with caplog.at_level(logging.WARNING):
            return mlcroissant.Dataset(jsonld=tree / "croissant.json")  # it raises where the card is not valid

    return load


def rows(dataset: mlcroissant.Dataset, name: str) -> list[dict[str, object]]:
    def plain(value: object) -> object:
        return value.decode() if isinstance(value, bytes) else value

    return [{key.split("/")[1]: plain(value) for key, value in row.items()} for row in dataset.records(name)]


def test_the_card_is_valid_and_its_rows_are_those_of_the_manifest(
    loaded: Callable[..., mlcroissant.Dataset], idd_level1: ClassTable
) -> None:
    dataset = loaded(licence="CC-BY-4.0", url="https://example.org/frames")
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.license == ["CC-BY-4.0"]
    assert {row["name"]: row["images"] for row in rows(dataset, "splits")} == {"train": 6, "val": 6, "test": 3}
    assert [row["name"] for row in rows(dataset, "classes")] == idd_level1.names
    assert [(row["drive"], row["split"], row["images"]) for row in rows(dataset, "drives")] == [
        ("1", "train", 3),
        ("2", "train", 3),
        ("7", "val", 3),
        ("8", "val", 3),
    ]
    samples = rows(dataset, "samples")
    assert len(samples) == 15
    assert {(row["split"], row["height"], row["width"]) for row in samples} == {(each, 227, 320) for each in SPLITS}


def test_nothing_but_what_is_not_known_is_missed(
    loaded: Callable[..., mlcroissant.Dataset], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = loaded()
    assert not dataset.metadata.license
    missed = [line for line in dataset.metadata.ctx.issues.warnings if "recommended" in line]
    assert len(missed) == 3, missed
    assert all(any(name in line for name in ("citeAs", "datePublished", "license")) for line in missed)
    assert "not standard" not in caplog.text


def test_the_vocabulary_is_that_of_the_library() -> None:
    from mlcroissant._src.core.rdf import make_context

    assert make_context() == CONTEXT


def test_equal_data_give_equal_bytes_and_other_data_another_version(tree: Path, idd_level1: ClassTable) -> None:
    def card() -> str:
        assert CliRunner().invoke(app, ["data", "card"]).exit_code == 0
        return Path("croissant.json").read_text()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        first = card()
        assert card() == first
        write_manifest(tree / "data/manifest.parquet", "manifest", from_rows([], "idd-lite", idd_level1))
        assert json.loads(card())["version"] != json.loads(first)["version"]


def test_without_a_manifest_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dvc repro validate"):
        write_data_card(tmp_path, tmp_path / "card.json", name="none")

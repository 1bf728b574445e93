from pathlib import Path

import pytest
import yaml
from pydantic import Field, ValidationError

from roadseg.contracts.errors import UsageError
from roadseg.contracts.params import Section, arguments, read_params
from roadseg.preprocess.stage import PreprocessParams


class Oven(Section):
    degrees: int = Field(gt=0, description="how hot")
    rate: float = Field(description="how fast")
    fan: bool = Field(description="blow")


class Table(Section):
    legs: int = Field(description="of one table")


SECTIONS: dict[str, type[Section]] = {"oven": Oven, "table": Table}
GOOD = {"oven.degrees": "200", "oven.rate": "0.5", "oven.fan": "true", "table.legs": "4"}


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def write(path: Path, **changes: str | None) -> None:
    """Write good parameters but for the changes, keys with `__` for the dot; None leaves a key out."""
    values = GOOD | {key.replace("__", "."): value for key, value in changes.items()}
    lines: dict[str, list[str]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        lines.setdefault(section, [])
        if value is not None:
            lines[section].append(f"  {name}: {value}\n")
    path.write_text("".join(f"{section}:\n{''.join(found)}" for section, found in lines.items()))


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_params(SECTIONS, path)
    return str(caught.value)


def test_good_parameters_are_read_by_section_and_cannot_be_changed(params: Path) -> None:
    write(params)
    read = read_params(SECTIONS, params)
    assert read == {"oven": Oven(degrees=200, rate=0.5, fan=True), "table": Table(legs=4)}
    with pytest.raises(ValidationError, match="frozen"):
        read["oven"].degrees = 100  # type: ignore[attr-defined]


def test_a_whole_number_will_do_for_a_fraction(params: Path) -> None:
    write(params, oven__rate="2")
    assert read_params(SECTIONS, params)["oven"] == Oven(degrees=200, rate=2.0, fan=True)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("oven.colour", "red", "unknown key; there are degrees, rate, fan"),
        ("oven.degrees", None, "missing: how hot"),
        ("oven.degrees", "hot", "found 'hot'"),
        ("oven.degrees", "true", "found True"),
        ("oven.degrees", "1.5", "found 1.5"),
        ("oven.degrees", "0", "greater than 0, found 0"),
        ("oven.rate", "'0.5'", "found '0.5'"),
        ("oven.rate", "null", "found None"),
        ("oven.fan", "1", "found 1"),
        ("table.legs", "[4]", "found [4]"),
    ],
)
def test_a_wrong_key_is_named_with_file_path_and_fault(params: Path, key: str, value: str | None, said: str) -> None:
    write(params, **{key: value})
    assert refusal(params).startswith(f"{params}: {key}: ")
    assert said in refusal(params)
    assert "\n" not in refusal(params)


@pytest.mark.parametrize("key", ["height", "width"])
@pytest.mark.parametrize("value", [100, 8, 1, 0, -16])
def test_a_working_size_that_no_model_can_halve_four_times_is_refused_by_its_key(
    params: Path, key: str, value: int
) -> None:
    good = {"height": 128, "width": 256, "aspect": "stretch", "tile": 0}
    sections: dict[str, type[Section]] = {"preprocess": PreprocessParams}
    params.write_text(yaml.safe_dump({"preprocess": good}))
    assert read_params(sections, params)["preprocess"] == PreprocessParams.model_validate(good)
    params.write_text(yaml.safe_dump({"preprocess": good | {key: value}}))
    with pytest.raises(UsageError) as caught:
        read_params(sections, params)
    wanted = "a multiple of 16" if value > 0 else "greater than 0"
    assert str(caught.value) == f"{params}: preprocess.{key}: Input should be {wanted}, found {value}"


def test_a_number_that_yaml_reads_as_text_gets_a_hint(params: Path) -> None:
    write(params, oven__rate="1e-3")
    assert "YAML wants a dot in 1.0e-3" in refusal(params)
    write(params, oven__rate="twenty")
    assert "YAML wants" not in refusal(params)
    write(params, oven__rate="1.0e-3")
    assert read_params(SECTIONS, params)["oven"] == Oven(degrees=200, rate=0.001, fan=True)


def test_a_word_with_an_e_in_a_place_for_words_gets_no_hint(params: Path) -> None:
    write(params, oven__fan="maybe")
    assert "YAML wants" not in refusal(params)


def test_an_unknown_section_is_named_beside_those_there_are(params: Path) -> None:
    write(params, chair__legs="3")
    assert refusal(params) == f"{params}: chair: unknown section; there are oven, table"


@pytest.mark.parametrize("content", ["oven: {degrees: 1, rate: 1.0, fan: true}", "table:\noven:", ""])
def test_a_missing_or_empty_section_is_named(params: Path, content: str) -> None:
    params.write_text(content)
    assert f"{params}: table" in refusal(params)


def test_all_faults_stand_in_one_error_each_on_its_line(params: Path) -> None:
    write(params, oven__degrees="true", oven__rate=None, oven__colour="red", table__legs="x", chair__legs="3")
    lines = refusal(params).splitlines()
    keys = ["chair", "oven.colour", "oven.degrees", "oven.rate", "table.legs"]
    assert sorted(line.split(": ")[1] for line in lines) == keys
    assert all(line.startswith(f"{params}: ") for line in lines)


def test_a_missing_file_says_where_to_run(params: Path) -> None:
    assert refusal(params) == f"{params} is missing: run from the folder that holds dvc.yaml"


@pytest.mark.parametrize(
    ("content", "said"), [("oven: [", "not valid YAML"), ("\xff", "not valid YAML"), ("- a\n- b", "found list")]
)
def test_what_is_no_mapping_of_sections_is_refused_by_name(params: Path, content: str, said: str) -> None:
    params.write_text(content, "latin-1")
    assert str(params) in refusal(params)
    assert said in refusal(params)


def test_a_stage_gets_the_sections_that_its_signature_names(params: Path) -> None:
    write(params)

    def run(*, table: Table) -> None: ...

    assert arguments(run, read_params(SECTIONS, params)) == {"table": Table(legs=4)}

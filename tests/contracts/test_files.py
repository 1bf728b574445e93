import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.contracts import files
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import code_digests, digest_file, digest_of, home, read_json, replacing, write_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with replacing(path) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert [found.name for found in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stays_and_no_temporary_remains(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def half_write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        half_write()
    assert {found.name: found.read_text() for found in tmp_path.iterdir()} == {"file": "old"}


@settings(max_examples=40, deadline=None)  # each writes and fsyncs a file
@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_json_that_was_written_is_read_equal(tmp_path_factory: pytest.TempPathFactory, content: dict) -> None:
    content.pop("schema", None)
    path = tmp_path_factory.getbasetemp() / "content.json"
    write_json(path, "thing", content)
    assert read_json(path, "thing", "make") == {"schema": "roadseg/thing/1", **content}


def test_what_is_not_finite_becomes_null_at_any_depth(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "a", {"x": [math.nan, {"y": (math.inf, 1.5)}], "z": -math.inf})
    assert read_json(tmp_path / "a.json", "a", "make") == {
        "schema": "roadseg/a/1",
        "x": [None, {"y": [None, 1.5]}],
        "z": None,
    }


def test_the_order_of_keys_does_not_change_the_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "a", {"b": 1, "a": {"d": 2, "c": "ü"}})
    write_json(tmp_path / "b.json", "a", {"a": {"c": "ü", "d": 2}, "b": 1})
    text = (tmp_path / "a.json").read_text("utf-8")
    assert (tmp_path / "b.json").read_text("utf-8") == text
    assert list(json.loads(text)) == ["a", "b", "schema"]
    assert "ü" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"", "is not valid JSON"),
        (b'{"schema": "roadseg/card/1"', "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[]", "has schema None"),
        (b"{}", "has schema None"),
        (b'{"schema": "roadseg/card/2"}', "has schema 'roadseg/card/2', not 'roadseg/card/1'"),
        (b'{"schema": "roadseg/verdict/1"}', "has schema 'roadseg/verdict/1'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_run(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "card.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_json(path, "card", "dvc repro train")
    assert str(caught.value).startswith(f"{path} {said}")
    assert "`dvc repro train`" in str(caught.value)


@pytest.mark.parametrize("version", range(4))
def test_the_present_version_of_a_schema_and_the_one_before_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setitem(files.VERSIONS, "card", 2)
    path = tmp_path / "card.json"
    path.write_text(json.dumps({"schema": f"roadseg/card/{version}"}))
    if version in (1, 2):
        assert read_json(path, "card", "make") == {"schema": f"roadseg/card/{version}"}
    else:
        with pytest.raises(UsageError, match="not 'roadseg/card/2'"):
            read_json(path, "card", "make")


def test_no_version_is_before_the_first(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text('{"schema": "roadseg/card/0"}')
    with pytest.raises(UsageError, match="not 'roadseg/card/1'"):
        read_json(path, "card", "make")


def test_the_digest_of_a_file_is_sha256_in_hex(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_file(tmp_path / "abc") == expected


def test_the_digest_of_content_follows_values_and_not_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert len({digest_of(value) for value in ({"a": 1}, {"a": 2}, {"b": 1}, [1, 2], [2, 1], "1", 1)}) == 7


def test_code_digests_cover_every_python_file_of_the_packages_and_no_other() -> None:
    found = code_digests("scan", "imaging")
    assert "roadseg/scan/layouts/idd_lite.py" in found
    assert {path.split("/")[1] for path in found} == {"scan", "imaging"}
    assert all(path.endswith(".py") and len(digest) == 64 for path, digest in found.items())


def test_home_is_the_variable_before_dvcs_root_before_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "tree"))
    monkeypatch.setenv("ROADSEG_HOME", "elsewhere")
    assert home() == tmp_path / "elsewhere"
    monkeypatch.delenv("ROADSEG_HOME")
    assert home() == tmp_path / "tree" / ".roadseg"
    monkeypatch.delenv("DVC_ROOT")
    assert home() == tmp_path / ".roadseg"
    monkeypatch.setenv("ROADSEG_HOME", "")
    assert home() == tmp_path / ".roadseg"


def test_home_is_absolute_also_where_the_variables_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROADSEG_HOME", "DVC_ROOT"):
        monkeypatch.setenv(name, "relative")
        assert home().is_absolute()
        monkeypatch.delenv(name)

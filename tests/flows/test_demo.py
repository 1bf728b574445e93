from pathlib import Path

from trees import run


def test_the_demo_touches_no_data_that_it_did_not_make(checkout: Path) -> None:
    before = {path: path.read_bytes() for path in (checkout / "data").rglob("*") if path.is_file()}
    refused = run(checkout, "python", "-m", "flows.demo", check=False)
    assert refused.returncode == 2
    assert "was not made by the demo" in refused.stderr
    assert {path: path.read_bytes() for path in (checkout / "data").rglob("*") if path.is_file()} == before

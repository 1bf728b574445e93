"""The audit of the locks, against a service of vulnerabilities on loopback; and the bill of materials of a lock."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from trees import ROOT

FLAW = {
    "id": "GHSA-of-the-tests",
    "aliases": ["CVE-2026-0001"],
    "summary": "made up",
    "affected": [{"package": {"name": "pillow", "ecosystem": "PyPI"}, "ranges": [
        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]}],
}  # fmt: skip


class Service(BaseHTTPRequestHandler):
    """Knows one flaw, of pillow."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [FLAW]} if asked["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Two packages of the project's own lock, with their hashes."""
    whole = (ROOT / "requirements/dev.txt").read_text()
    entries = [
        re.search(rf"^{name}==.*?(?=^[a-z0-9])", whole, re.MULTILINE | re.DOTALL) for name in ("pillow", "pyyaml")
    ]
    (tmp_path / "lock.txt").write_text("".join(found[0] for found in entries if found))
    return tmp_path / "lock.txt"


def audit(lock: Path, url: str, *exceptions: str) -> tuple[int, str]:
    spared = lock.with_name("audit.yaml")
    spared.write_text("exceptions:\n" + "".join(f"- {each}\n" for each in exceptions))
    settings = {
        "ROADSEG_OSV_URL": url,
        "ROADSEG_AUDIT_EXCEPTIONS": str(spared),
        "PATH": "/usr/bin:/bin",
        "HOME": str(lock.parent),
    }
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/audit.py", str(lock)], env=settings, capture_output=True, text=True, cwd=ROOT
    )
    return done.returncode, done.stdout + done.stderr


def test_a_flaw_fails_the_audit_until_a_dated_exception_and_again_after_it(lock: Path, service: str) -> None:
    status, said = audit(lock, service)
    assert (status, "CVE-2026-0001, mended in 99.0" in said, "pyyaml" in said) == (1, True, False)
    status, said = audit(lock, service, "{id: CVE-2026-0001, until: 2999-01-01, why: not reached}")
    assert (status, "accepted until 2999-01-01: not reached" in said) == (0, True)
    status, said = audit(lock, service, "{id: CVE-2026-0001, until: 2020-01-01, why: not reached}")
    assert (status, "is over since 2020-01-01" in said) == (1, True)


def test_a_service_that_does_not_answer_is_no_all_clear(lock: Path) -> None:
    status, said = audit(lock, "http://127.0.0.1:9/v1/query")
    assert (status, "nothing is known" in said) == (2, True)


def test_the_bills_of_materials_are_of_every_lock_that_is_shipped() -> None:
    shown = subprocess.run(["make", "-n", "sbom"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [named] = re.findall(r"for lock in (.*?);", shown)
    assert set(named.split()) == {path.stem for path in ROOT.glob("requirements/*.txt")} - {"build", "uv"}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_the_bill_of_materials_of_a_lock_names_every_package_with_its_hashes(
    lock: Path, tmp_path: Path, whole: bool
) -> None:
    bill = tmp_path / "sbom.json"
    lock = ROOT / "requirements/dev.txt" if whole else lock
    command = [Path(sys.executable).with_name("cyclonedx-py"), "requirements", "--output-reproducible", "--of", "JSON"]
    subprocess.run([*command, "-o", bill, lock], check=True, capture_output=True)
    read = json.loads(bill.read_text())
    named = {component["name"]: component for component in read["components"]}
    assert read["bomFormat"] == "CycloneDX"
    assert named.keys() >= set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE))
    assert all("sha256" in json.dumps(component).lower().replace("-", "") for component in named.values())

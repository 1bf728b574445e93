"""Known vulnerabilities of what the locks name, less dated exceptions: `make audit`.

Ends with 1 where there is one without an exception, or an exception is over, and with 2 where the service does not
answer: silence is no all-clear.
"""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
EXCEPTIONS = ROOT / "requirements/audit.yaml"
LOCKS = ("requirements/dev.txt", "requirements/gpu.txt", "requirements/jax.txt")


def main(locks: list[str]) -> int:
    """Print what is known of each lock; the exit code."""
    path = Path(os.environ.get("ROADSEG_AUDIT_EXCEPTIONS", EXCEPTIONS))
    exceptions = yaml.safe_load(path.read_text(encoding="utf-8"))["exceptions"] or []
    today = datetime.date.today()
    over = [each for each in exceptions if each["until"] < today]
    for each in over:
        print(f"{path.name}: the exception for {each['id']} ({each['why']}) is over since {each['until']}")
    spared = {each["id"]: each for each in exceptions if each["until"] >= today}
    found = False
    for lock in locks or LOCKS:
        report = asked(lock)
        if report is None:
            print(f"{lock}: the service of vulnerabilities did not answer, so nothing is known")
            return 2
        for package in report["dependencies"]:
            for flaw in package.get("vulns", []):
                names = {flaw["id"], *flaw.get("aliases", [])}
                excused = next((spared[name] for name in names if name in spared), None)
                fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
                said = f"accepted until {excused['until']}: {excused['why']}" if excused else f"mended in {fixed}"
                print(f"{lock}: {package['name']} {package['version']}: {flaw['id']}, {said}")
                found |= excused is None
    return 1 if found or over else 0


def asked(lock: str) -> dict[str, list[dict[str, object]]] | None:
    """What pip-audit says of a lock; None where its service does not answer. `ROADSEG_OSV_URL` names another."""
    service = ["-s", "osv", "--osv-url", url] if (url := os.environ.get("ROADSEG_OSV_URL")) else []
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        lock,
        "--disable-pip",
        "--require-hashes",
        "-f",
        "json",
        *service,
    ]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        print((done.stderr.strip() or "pip-audit said nothing").splitlines()[-1], file=sys.stderr)
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

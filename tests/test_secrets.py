"""No secret stands in the repository; the scan finds one that is planted."""

import re
import subprocess
from pathlib import Path

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings
from trees import ROOT

# forms of keys that services give out, and whatever is called a password; not entropy: digests are everywhere here
PLUGINS = [
    *(
        "AWSKeyDetector",
        "ArtifactoryDetector",
        "AzureStorageKeyDetector",
        "BasicAuthDetector",
        "DiscordBotTokenDetector",
    ),
    *("GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "KeywordDetector", "NpmDetector"),
    *("OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector"),
    *("SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector"),
]
# the library takes 20 ms a file; in a line that matches none of this no plugin of these finds anything
HINT = re.compile(
    r"(?i)pass(word|wd|phrase)|_pass|pwd|secret|token|(api|auth|service|account|db|database|priv|private|client)_?key"
    r"|private key|A[KS]IA[0-9A-Z]|eyJ|xox[a-z]-|gh[a-z]_|glpat|npm|sk[-_]|SG\.|AKC|://[^/\s]+:[^/\s]+@|[A-Z0-9]{24,}"
)
PRETENDED = "of-the-tests|^(password|secret|roadseg)$|^PASSWORD$|hunter2|-password$"  # in tests and documents
SETTINGS = {
    "plugins_used": [{"name": name} for name in PLUGINS],
    "filters_used": [
        {"path": "detect_secrets.filters.heuristic.is_indirect_reference"},
        {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
        {"path": "detect_secrets.filters.heuristic.is_not_alphanumeric_string"},
        {"path": "detect_secrets.filters.regex.should_exclude_secret", "pattern": [PRETENDED]},
    ],
}
LOCKS = ("requirements/", "tests/data/")
TEXT = {".py", ".yaml", ".yml", ".md", ".toml", ".conf", ".html", ".json", ".ini", ".sh", ".example", ".csv", ""}


def secrets_in(root: Path, names: list[str], scratch: Path) -> list[str]:
    with transient_settings(SETTINGS):
        found = SecretsCollection(root=str(scratch))
        for name in names:
            lines = (root / name).read_text(errors="replace").splitlines()
            if kept := "\n".join(line if HINT.search(line) else "" for line in lines).rstrip("\n"):
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                (scratch / name).write_text(kept)
                found.scan_file(name)
        return [f"{name}:{secret.line_number}: {secret.type}" for name, secret in found]


def test_no_tracked_file_holds_a_secret(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not name.startswith(LOCKS)]
    names = [name for name in names if Path(name).suffix in TEXT and (ROOT / name).is_file()]
    assert len(names) > 400
    assert secrets_in(ROOT, names, tmp_path) == []


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('password = "' + 'correct horse battery"', "Secret Keyword"),
        ("key: AKIA" + "QWERTYUIOPASDFGH", "AWS Access Key"),
        ("-----BEGIN OPENSSH " + "PRIVATE KEY-----", "Private Key"),
        ("url: https://me:" + "correcthorse@example.org", "Basic Auth Credentials"),
    ],
)
def test_a_secret_that_is_planted_is_found(tmp_path: Path, line: str, kind: str) -> None:
    (tmp_path / "settings.py").write_text(f"first = 1\n{line}\n")
    assert f"settings.py:2: {kind}" in secrets_in(tmp_path, ["settings.py"], tmp_path / "scratch")

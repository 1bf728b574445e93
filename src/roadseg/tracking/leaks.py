"""What must not go to MLflow: passwords, keys and tokens in a difference that nobody has committed."""

import os
import re
from collections.abc import Mapping

NAMED = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH_STRING|PRIVATE_KEY|API_KEY|CREDENTIAL")
SHORTEST = 8  # characters of a value that is looked for
FORMS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    "a token of Slack": re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/\S{20,}"),
    "an address with a password": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$]+:[^\s/@'\"{}$]{4,}@"),
    "a password": re.compile(
        r"(?i)\b\w*(?:password|passwd|secret|token|api_?key|auth_string)\w*[\"']?\s*[:=]\s*"
        r"(?:[\"'][^\s\"'{}$<>]{8,}[\"']|[^\s\"'{}$<>()\[\]]*\d[^\s\"'{}$<>()\[\]]{7,}$)"
    ),
}


def secret_in(difference: str, environment: Mapping[str, str] = os.environ) -> str:
    """Look at the lines that a difference adds.

    Args:
        difference: as `git diff` writes it.
        environment: values of its variables whose names say that they are secret are looked for too.

    Returns:
        Kind and file of the first that looks like a secret, never the secret itself; empty where there is none.
    """
    values = [value for name, value in environment.items() if NAMED.search(name) and len(value) >= SHORTEST]
    file = "?"
    for line in difference.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("+"):
            for kind, form in FORMS.items():
                if form.search(line):
                    return f"{kind} in {file}"
            if any(value in line for value in values):
                return f"a secret of the environment in {file}"
    return ""

"""Change one key of params.yaml and nothing else in it."""

import re
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing


def set_param(path: Path, section: str, key: str, value: str) -> None:
    """Write `key: value` into a section that stands in lines; a comment behind the value stays.

    Args:
        path: params.yaml.
        section: its name.
        key: changed, or added as the section's last line.
        value: as YAML has it.

    Raises:
        UsageError: there is no such file or section; says the line to write.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    block = re.search(rf"^{re.escape(section)}:[ \t]*(?:#.*)?\n(?:(?:[ \t]+.*|[ \t]*#.*|[ \t]*)\n)*", text + "\n", re.M)
    if not block:
        raise UsageError(f"{path} has no section {section} in lines of its own: write `{key}: {value}` there yourself")
    lines, there = block[0], re.compile(rf"^([ \t]+{re.escape(key)}:)[^\n#]*?([ \t]+#.*)?$", re.M)
    if there.search(lines):
        lines = there.sub(lambda found: f"{found[1]} {value}{found[2] or ''}", lines, count=1)
    else:
        body = lines.rstrip()
        lines = f"{body}\n  {key}: {value}{lines[len(body) :]}"
    with replacing(path) as temporary:
        temporary.write_text(
            (text[: block.start()] + lines + text[block.end() :]).rstrip("\n") + "\n", encoding="utf-8"
        )

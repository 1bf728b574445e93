"""Change keys of params.yaml and nothing else in it: comments and order stay."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing


def read_settings(path: Path) -> dict[str, Any]:
    """Sections of params.yaml as they stand there, unchecked; none where there is no such file.

    Raises:
        UsageError: it is no YAML, or holds something else than sections.
    """
    content = _load(_yaml(), path) if path.exists() else {}
    return dict(content)


def change_settings(path: Path, section: str, values: dict[str, Any]) -> None:
    """Write values into a section, which is made where it is absent.

    Raises:
        UsageError: see `read_settings`, or there is no such file.
    """
    if not path.exists():
        raise UsageError(f"{path} is missing: run from the folder that holds dvc.yaml and params.yaml")
    yaml = _yaml()
    content = _load(yaml, path)
    content.setdefault(section, {}).update(values)
    with replacing(path) as temporary:
        yaml.dump(content, temporary)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _load(yaml: YAML, path: Path) -> Any:
    try:
        content = yaml.load(path)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected sections, found {type(content).__name__}")
    return content

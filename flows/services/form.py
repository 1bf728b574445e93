"""What a form in Prefect shows beside a field that may override a parameter: the value that it has without."""

import json
from collections.abc import Mapping
from typing import Any


def with_present_values(schema: dict[str, Any], params: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A deployment's parameter schema whose overrides name what params.yaml has.

    They are words and no defaults: what a form prefills it sends, and that would hide later changes of params.yaml.

    Args:
        schema: JSON schema as `prefect deploy` made it; unchanged where it has no overrides.
        params: content of params.yaml, by section and key.
    """
    definitions = dict(schema.get("definitions", {}))
    for section, values in params.items():
        name = f"{section.capitalize()}Overrides"
        if name in definitions:
            definitions[name] = definitions[name] | {"properties": _named(definitions[name]["properties"], values)}
    return schema | {"definitions": definitions} if definitions else schema


def _named(fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: field | {"description": f"{field['description']}. Here: {json.dumps(values[key])}"}
        if key in values
        else field
        for key, field in fields.items()
    }

from typing import TYPE_CHECKING

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

if TYPE_CHECKING:
    from conftest import Champion

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    not_a_server_error,
]


def test_the_openapi_is_true(champion: "Champion") -> None:
    schema = schemathesis.openapi.from_url(f"{champion.served.url}/openapi.json")
    paths = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        paths.add(operation.path)

        @given(case=operation.as_strategy())
        @settings(max_examples=25, suppress_health_check=list(HealthCheck), database=None)
        def holds(case: schemathesis.Case) -> None:
            case.validate_response(case.call(), checks=CHECKS)

        holds()
    assert paths == {"/", "/predict", "/health", "/ready", "/version", "/metrics"}

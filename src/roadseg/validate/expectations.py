"""The rules as Great Expectations suites; the only module that imports it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.core.batch import Batch
from great_expectations.expectations.metadata_types import FailureSeverity

from roadseg.validate.rules import Rule, Rules

FORM = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["position"],
    "return_unexpected_index_query": False,
}


@dataclass(frozen=True)
class Result:
    """How one expectation came out; `failing` are the positions of every failing row of its frame."""

    name: str
    severity: str
    passed: bool
    observed: str
    failing: list[int]


def judge(subjects: Mapping[str, tuple[pd.DataFrame, Rules]]) -> dict[str, list[Result]]:
    """Run every subject's rules over its frame.

    Args:
        subjects: what a row is ("samples", "splits", ...), with the frame and its rules.
    """
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("data")
    judged = {}
    for subject, (frame, rules) in subjects.items():
        definition = source.add_dataframe_asset(subject).add_batch_definition_whole_dataframe("all")
        batch = definition.get_batch({"dataframe": frame.assign(position=range(len(frame)))})
        judged[subject] = _judge(batch, subject, rules)
    return judged


def _judge(batch: Batch, subject: str, rules: Rules) -> list[Result]:
    suite = gx.ExpectationSuite(subject, expectations=[_expectation(name, rule) for name, rule in rules.items()])
    return [_result(found, subject) for found in batch.validate(suite, result_format=FORM).results]


def _expectation(name: str, rule: Rule) -> gxe.Expectation:
    kinds: dict[str, Callable[..., gxe.Expectation]] = {
        "null": gxe.ExpectColumnValuesToBeNull,
        "present": gxe.ExpectColumnValuesToNotBeNull,
        "unique": gxe.ExpectColumnValuesToBeUnique,
        "between": gxe.ExpectColumnValuesToBeBetween,
    }
    bounds = {"min_value": rule.low, "max_value": rule.high} if rule.kind == "between" else {}
    return kinds[rule.kind](column=rule.column, severity=rule.severity, meta={"name": name}, **bounds)


def _result(found: Any, subject: str) -> Result:
    config, result = found.expectation_config, found.result
    if found.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {config.meta['name']}: {found.exception_info['exception_message']}")
    failing = sorted(entry["position"] for entry in result.get("unexpected_index_list") or [])
    observed = f"{len(failing)} of {result.get('element_count', 0)} {subject}"
    return Result(config.meta["name"], FailureSeverity(config.severity).value, bool(found.success), observed, failing)

"""The rules as a Great Expectations suite; the only module that imports it."""

from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.expectations.metadata_types import FailureSeverity

from roadseg.validate.rules import Rule

SPLITS_THERE = "splits_there"


@dataclass(frozen=True)
class Result:
    """How one expectation came out; `failing` are the positions of every failing row."""

    name: str
    severity: str
    passed: bool
    observed: str
    failing: list[int]


def judge(frame: pd.DataFrame, rules: dict[str, Rule]) -> list[Result]:
    """Run every rule, and that train and val are there, over the frame that `rules.judged` made."""
    frame = frame.assign(position=range(len(frame)))
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("data")
        .add_dataframe_asset("samples")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite("samples", expectations=[_expectation(name, rule) for name, rule in rules.items()])
    suite.add_expectation(
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="split", value_set=["train", "val"], severity="critical", meta={"name": SPLITS_THERE}
        )
    )
    form = {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": ["position"],
        "return_unexpected_index_query": False,
    }
    splits = ", ".join(sorted(frame["split"].unique()))
    return [_result(found, splits) for found in batch.validate(suite, result_format=form).results]


def _expectation(name: str, rule: Rule) -> gxe.Expectation:
    settings: dict[str, Any] = {"column": rule.column, "severity": rule.severity, "meta": {"name": name}}
    match rule.kind:
        case "null":
            return gxe.ExpectColumnValuesToBeNull(**settings)
        case "present":
            return gxe.ExpectColumnValuesToNotBeNull(**settings)
        case "unique":
            return gxe.ExpectColumnValuesToBeUnique(**settings)
        case "between":
            return gxe.ExpectColumnValuesToBeBetween(**settings, min_value=rule.low, max_value=rule.high)


def _result(found: Any, splits: str) -> Result:
    config, result = found.expectation_config, found.result
    if found.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {config.meta['name']}: {found.exception_info['exception_message']}")
    failing = sorted(entry["position"] for entry in result.get("unexpected_index_list") or [])
    observed = f"{len(failing)} of {result.get('element_count', 0)} samples"
    if config.meta["name"] == SPLITS_THERE:
        observed = f"splits {splits}"  # in the COMPLETE format the expectation leaves its own observed value out
    return Result(config.meta["name"], FailureSeverity(config.severity).value, bool(found.success), observed, failing)

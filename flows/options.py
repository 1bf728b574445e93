"""What a deployment can be told: the form in Prefect shows it, its server checks it, and the flow checks it again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from roadseg.contracts.errors import UsageError
from roadseg.contracts.params import Section
from roadseg.pipeline.runner import SECTIONS, STAGES

Revision = Annotated[str, Field(pattern=r"^([A-Za-z0-9._/][A-Za-z0-9._/-]*)?$", max_length=200)]  # never an option
Reason = Annotated[str, Field(max_length=500)]
Requester = Annotated[str, Field(max_length=100)]
Version = Annotated[int, Field(ge=1)]  # of the registered model
WhenBusy = Literal["wait", "skip", "replace"]

WORDS = {
    "gt": "above {}",
    "ge": "at least {}",
    "lt": "below {}",
    "le": "at most {}",
    "multiple_of": "a multiple of {}",
    "pattern": "as {}",
}


class Group(BaseModel):
    """Base of a group of fields: no unknown keys, no silent conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Partial(Group):
    """Base of a group of which only what was given counts: None is nothing, and the form prefills nothing."""

    @model_validator(mode="before")
    @classmethod
    def _drop_none(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given

    @model_serializer
    def _given(self) -> dict[str, Any]:
        fields = type(self).model_fields
        given = {fields[key].alias or key: getattr(self, key) for key in fields if key in self.model_fields_set}
        return {key: value for key, value in given.items() if not isinstance(value, Partial) or value.model_fields_set}


Model = TypeVar("Model", bound=Group)


def _section(name: str, section: type[Section]) -> Any:
    """The section with every field optional: what is left out stays as params.yaml has it."""
    fields: dict[str, Any] = {key: _field(known) for key, known in section.model_fields.items()}
    made = create_model(
        f"{name.capitalize()}Overrides", __base__=Partial, __doc__=f"Section {name} of params.yaml.", **fields
    )
    return (made, Field(default_factory=made, alias=name))


def _field(known: FieldInfo) -> Any:
    value: Any = known.annotation
    for constraint in known.metadata:
        value = Annotated[value, constraint]
    return (value, Field(None, description=_words(known), json_schema_extra=_left_out))


def _left_out(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _words(known: FieldInfo) -> str:
    """The description with the bounds, which the form does not show."""
    bounds = [WORDS[kind].format(found) for kind in WORDS for each in known.metadata if (found := _bound(each, kind))]
    return (known.description or "") + (f" ({', '.join(bounds)})" if bounds else "")


def _bound(constraint: Any, kind: str) -> str:
    found = getattr(constraint, kind, None)
    return "" if found is None else f"{found}"


if TYPE_CHECKING:
    Overrides = Group
else:
    Overrides = create_model(
        "Overrides",
        __base__=Partial,
        __doc__="Parameters that differ from the revision's params.yaml; what is left out stays as it is there.",
        # not by the bare names: a model has a `validate` of its own
        **{f"{name}_section": _section(name, SECTIONS[name]) for name in STAGES},
    )
AS_COMMITTED = Overrides()


class RetrainOptions(Group):
    """What `retrain` can be told; the flow's signature has the same fields, so that the form shows them one by one."""

    revision: Revision = ""
    overrides: Overrides = AS_COMMITTED
    reason: Reason = ""
    force: bool = False
    when_busy: WhenBusy = "wait"
    requester: Requester = ""


def overridden(overrides: BaseModel) -> dict[str, dict[str, Any]]:
    """The values that were given, by section and key."""
    return overrides.model_dump(by_alias=True)


def check(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Check what a run was given, also where nobody did before: Prefect does not look at a schedule's parameters.

    Raises:
        UsageError: names every parameter that is wrong.
    """
    plain = {
        key: value.model_dump(exclude_unset=True, by_alias=True) if isinstance(value, BaseModel) else value
        for key, value in given.items()
    }
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}, found {each['input']!r}" for each in error.errors()
        ]
        raise UsageError("; ".join(faults)) from None

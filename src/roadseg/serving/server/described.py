"""What the addresses take and give, as OpenAPI says it."""

from importlib.metadata import version
from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from roadseg.serving.server.accepted import PICTURES
from roadseg.serving.server.pictures import TYPES

PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8"
BYTES = {"schema": {"type": "string", "format": "binary"}}


class Problem(BaseModel):
    """Why there is no mask."""

    error: str
    what_to_do: str


class Summary(BaseModel):
    """A mask in figures."""

    version: int | None = Field(description="of the registered model; null where a folder is served")
    weights: str = Field(description="their digest")
    size: tuple[int, int] = Field(description="height and width, pixels")
    shares: dict[str, float] = Field(description="of the pixels by class, 0..1")
    confidence: dict[str, float] = Field(description="mean probability of a class where it was answered, 0..1")
    milliseconds: float = Field(description="from the request's head to the answer")


class Alive(BaseModel):
    """The process answers."""

    alive: bool


class Ready(BaseModel):
    """A model is loaded and warm."""

    ready: bool
    version: int | None


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    reasons = {
        400: "The body is empty or came too slowly, or no answer of ours is accepted.",
        413: "The body, the picture or the answer would be too large.",
        415: "Not a JPEG, PNG or WebP picture.",
        422: "The picture is broken.",
        503: "No model is loaded, or there is no room; Retry-After says when to try again.",
    }
    return {status: {"model": Problem, "description": reasons[status]} for status in statuses}


def _again(statuses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """With the header of a 503."""
    header = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    statuses[503] |= {"headers": header}
    return statuses


NAMES = {
    "X-Roadseg-Version": {"description": "version that answered", "schema": {"type": "string"}},
    "X-Roadseg-Weights": {"description": "digest of its weights", "schema": {"type": "string"}},
}
ABOUT: dict[str, Any] = {
    "version": version("roadseg"),
    "summary": "Masks of road scenes from the registered champion.",
}
PREDICT: dict[str, Any] = {
    "summary": "Predict a picture",
    "description": "Accept chooses the answer: a mask of class ids as PNG, figures as JSON, an overlay as JPEG, or "
    "probabilities as NumPy's float16 (classes, height, width); all at the picture's own size.",
    "response_class": Response,
    "responses": {
        200: {
            "description": "The mask.",
            "headers": NAMES,
            "content": {
                media: {"schema": Summary.model_json_schema()} if kind == "json" else BYTES
                for kind, media in TYPES.items()
            },
        },
        **_again(_problems(400, 413, 415, 422, 503)),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "The bytes of a picture's file.",
            "content": dict.fromkeys(PICTURES, BYTES),
        }
    },
}
PAGE: dict[str, Any] = {"summary": "A page to try it", "response_class": HTMLResponse}
HEALTH: dict[str, Any] = {"summary": "Alive", "response_model": Alive}
READY: dict[str, Any] = {"summary": "A model is loaded", "response_model": Ready, "responses": _again(_problems(503))}
VERSION: dict[str, Any] = {"summary": "What serves, and what the registry says"}
METRICS: dict[str, Any] = {
    "summary": "Prometheus' figures",
    "response_class": Response,
    "responses": {
        200: {"description": "Text that Prometheus reads.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    },
}

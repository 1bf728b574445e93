"""Answers that are no picture: what was wrong with the request, and what to do."""

from typing import Any


class Refusal(Exception):
    """A request that gets no mask; `status` is 400, 413, 415, 422 or 503."""

    def __init__(self, status: int, error: str, what_to_do: str) -> None:
        super().__init__(error)
        self.status, self.error, self.what_to_do = status, error, what_to_do

    @property
    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": self.error, "what_to_do": self.what_to_do}


def busy(error: str, what_to_do: str = "try again in a second") -> Refusal:
    """The server has no room for it, or lost it."""
    return Refusal(503, error, what_to_do)

"""One thing that was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found, and what is wrong with it.

    Attributes:
        topic: `software`, `machine`, `tree`, `services` or `choice`.
        name: what was looked at.
        found: what was found, as people read it.
        problem: what is wrong and what to do; empty where nothing is.
        stops: whether it would stop the pipeline.
    """

    topic: str
    name: str
    found: str
    problem: str = ""
    stops: bool = False

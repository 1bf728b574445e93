"""The gate: evidence and policy in, decision out; it knows nothing of MLflow."""

from collections.abc import Sequence

from roadseg.registry.decision import Decision, LeftOut
from roadseg.registry.evidence import Evidence
from roadseg.registry.policy import Policy


def decide(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    left_out: Sequence[LeftOut] = (),
    new_table: bool = False,
    seed: int = 0,
) -> Decision:
    """Judge a candidate against the champion, both scored on the candidate's val split with equal settings.

    Args:
        candidate: the version to judge.
        champion: the one that stands; None where there is none.
        policy: section `promote` of params.yaml.
        left_out: drives of the val split that must not decide, see `find_leaks`.
        new_table: a person asks for a model of another class table, whose scores cannot be compared.
        seed: decides the draws of the bootstrap; equal seeds give equal decisions.

    Returns:
        never a PROMOTE on what cannot be computed: that is a HOLD, with the reason.
    """
    raise NotImplementedError

"""What becomes of a failing answer in an agent: one policy a request, and the guards that carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ragguard.adapting import Policy, require_policy, under_policy, with_steps
from ragguard.errors import InvalidValueError
from ragguard.pipeline import Pipeline, Step
from ragguard.types import Action, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

SETTINGS = "ragguard"
"""Attribute or key of an agent's context under which a request's own settings stand."""


@dataclass(frozen=True)
class RagGuardContext:
    """Settings of one request; give it as the agent's context, or as `ragguard` of a context of your own.

    None leaves what the middleware was made with.

    Attributes:
        policy: see `RagGuardMiddleware`.
        max_retries: see `RagGuardMiddleware`.
        require_evidence: see `RagGuardMiddleware`.
        group: the Mondrian group whose threshold cuts what the middleware cuts itself.
    """

    policy: Policy | None = None
    max_retries: int | None = None
    require_evidence: bool | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no guard could carry out."""
        require_policy(self.policy)
        retries = self.max_retries
        if retries is not None and (type(retries) is not int or retries < 0):
            raise InvalidValueError(f"max_retries must be a whole number, 0 or more, got {retries!r:.40}")

    def over(self, default: RagGuardContext) -> RagGuardContext:
        """Return these settings, and the default's where there is none."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(default, **{name: value for name, value in own.items() if value is not None})


def settings_in(context: Any) -> RagGuardContext:
    """Return the settings that a request's context holds, empty ones where it holds none.

    Raises:
        InvalidValueError: there are some, and they are of another kind.
    """
    if isinstance(context, RagGuardContext):
        return context
    found = context.get(SETTINGS) if isinstance(context, Mapping) else getattr(context, SETTINGS, None)
    if found is None:
        return RagGuardContext()
    if isinstance(found, Mapping):
        unknown = sorted(set(found) - {f.name for f in fields(RagGuardContext)})
        if unknown:
            raise InvalidValueError(f"the context's ragguard settings have no {unknown}")
        return RagGuardContext(**found)
    if not isinstance(found, RagGuardContext):
        raise InvalidValueError(f"the context's ragguard settings are a {type(found).__name__}")
    return found


def carrying_out(pipeline: Pipeline, settings: RagGuardContext) -> Pipeline:
    """Return the pipeline under the policy of these settings, and behind evidence where they require it.

    Raises:
        ConfigurationError: the policy is about claims, and no guard knows any.
    """
    pipeline = under_policy(pipeline, settings.policy, attempts=settings.max_retries)
    if not settings.require_evidence:
        return pipeline
    return with_steps(pipeline, [Step(EvidenceRequired()), *pipeline.steps])


class EvidenceRequired:
    """Abstains for every answer to which no passage was found."""

    name = "evidence_required"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Judge whether there is any passage at all."""
        if any(passage.text.strip() for passage in turn.passages or ()):
            return Verdict(guard=self.name, stage=stage, action=Action.PASS)
        return Verdict(guard=self.name, stage=stage, action=Action.ABSTAIN, reason=Reason.NO_EVIDENCE)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, on a worker."""
        return await run_on_worker(self.check, turn, stage)

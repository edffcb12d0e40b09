"""What an answer is judged against: the question and the passages that came with its call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ragguard.alignment.abstention import remaining_claims
from ragguard.errors import ConfigurationError
from ragguard.server.door import Turned
from ragguard.server.messages import GuardrailRequest, roles_and_texts
from ragguard.types import Action, Passage, Reason, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

EVIDENCE_ROLES = ("system", "developer", "tool", "function")
"""Roles whose messages may count as evidence. What user or model said is none: it would prove itself."""

_FETCHED = frozenset({"tool", "function"})


@dataclass(frozen=True)
class Given:
    """What is known of one call.

    Attributes:
        question: as the user asked it, or "" where nobody said.
        passages: what an answer may rest on.
        fetched: ids of those that were retrieved for this question: a shield for passages
            judges these, and not what the operator wrote as a system message.
    """

    question: str = ""
    passages: tuple[Passage, ...] = ()
    fetched: frozenset[str] = frozenset()

    def completed(self, earlier: Given | None) -> Given:
        """This, with what it lacks taken from what the same call brought before."""
        if earlier is None:
            return self
        found = self if self.passages else replace(self, passages=earlier.passages, fetched=earlier.fetched)
        return found if found.question else replace(found, question=earlier.question)


def require_roles(roles: Collection[str]) -> frozenset[str]:
    """Return the roles whose messages are evidence.

    Raises:
        ConfigurationError: one of them is not among `EVIDENCE_ROLES`.
    """
    unknown = sorted(set(roles) - set(EVIDENCE_ROLES))
    if unknown or isinstance(roles, str):
        raise ConfigurationError(
            f"messages of these roles are no evidence: {unknown or roles}",
            hint=f"choose among {', '.join(EVIDENCE_ROLES)}",
        )
    return frozenset(roles)


def given_in(request: GuardrailRequest, *, roles: Collection[str] = EVIDENCE_ROLES) -> Given:
    """Return what a request says of question and evidence.

    `additional_provider_specific_params` come first: `question`, and `documents` as strings
    or {"text", "id"?}. Without documents, messages of the roles count: operator's text
    wherever it stands, a tool's since the user last spoke, so that an earlier turn's
    results prove nothing now. Passages are taken as they come, without a score, and are
    not cut.

    Raises:
        Turned: documents or question are of another shape.
    """
    params = request.additional_provider_specific_params or {}
    said = list(roles_and_texts(request.structured_messages or ()))
    asked = [place for place, (role, _) in enumerate(said) if role == "user"]
    last = asked[-1] if asked else -1
    question = _question(params, said[last][1] if asked else "")
    documents = _documents(params.get("documents"))
    if documents:
        return Given(question, documents, frozenset(p.id for p in documents))
    passages = [
        Passage(id=f"{role}-{place}", text=text)
        for place, (role, text) in enumerate(said)
        if role in roles and (role not in _FETCHED or place > last)
    ]
    fetched = frozenset(p.id for p in passages if p.id.partition("-")[0] in _FETCHED)
    return Given(question, tuple(passages), fetched)


def _question(params: Mapping[str, Any], spoken: str) -> str:
    question = params.get("question")
    if question is None:
        return spoken
    if not isinstance(question, str):
        raise Turned(422, "invalid", "question is a string")
    return question if question.strip() else spoken


def _documents(documents: Any) -> tuple[Passage, ...]:
    shape = Turned(422, "invalid", 'documents are a list of strings or of {"text": "...", "id": "..."}')
    if documents is None:
        return ()
    if not isinstance(documents, list):
        raise shape
    found: dict[str, Passage] = {}
    for place, one in enumerate(documents):
        item = {"text": one} if isinstance(one, str) else one
        if not isinstance(item, dict) or not isinstance(item.get("text"), str):
            raise shape
        name = item.get("id", f"document-{place}")
        if not isinstance(name, str):
            raise shape
        if found.setdefault(name, Passage(id=name, text=item["text"])).text != item["text"]:
            raise Turned(422, "duplicate_id", f"document {place} has the id of another and a different text")
    return tuple(passage for passage in found.values() if passage.text.strip())


class EvidenceRequired:
    """Ends a turn whose answer claims something while there is nothing to hold it against."""

    name = "evidence"
    stages = frozenset({Stage.ANSWER})

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Abstain for want of evidence; an answer without a claim, such as "I don't know.", is not held up."""
        wanting = not any(p.text.strip() for p in turn.passages or ()) and bool(
            remaining_claims(turn.answer or "")
        )
        action, reason = (Action.ABSTAIN, Reason.NO_EVIDENCE) if wanting else (Action.PASS, Reason.OK)
        return Verdict(guard=self.name, stage=stage, action=action, reason=reason)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """`check`, off the event loop."""
        return await run_on_worker(self.check, turn, stage)

"""Where the parts of a turn stand in a graph's state, and how they are read and written."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import ValidationError

from langchain_ragguard.chat_evidence import as_passages
from langchain_ragguard.documents import FACTS
from langchain_ragguard.middleware_evidence import evidence_in
from langchain_ragguard.middleware_messages import shown_message
from ragguard.errors import InvalidValueError
from ragguard.types import Report, Stage, Turn
from ragguard.withheld import shown_report, small_report


@dataclass(frozen=True)
class Keys:
    """Names of a graph's state keys; a graph need have only those that its nodes use.

    Attributes:
        question: a string; the last human message where there is none.
        documents: LangChain documents, or their JSON ({"page_content", "metadata", "id"}).
        answer: a string. With `messages` the answer is the last message of the model's instead.
        messages: name of a list of messages with the reducer `add_messages`, or None.
        report: written: the report as JSON, without the text that is withheld.
        review: written: what waits for a person, the draft included, or None.
    """

    question: str = "question"
    documents: str = "documents"
    answer: str = "answer"
    messages: str | None = None
    report: str = "ragguard"
    review: str = "ragguard_review"


def value(state: Any, key: str | None) -> Any:
    """Return what a state, a mapping or an object, holds under a key; None for nothing."""
    if key is None:
        return None
    return state.get(key) if isinstance(state, Mapping) else getattr(state, key, None)


def question_in(state: Any, keys: Keys) -> str:
    """Return the question.

    Raises:
        InvalidValueError: there is none.
    """
    found = value(state, keys.question)
    if isinstance(found, str) and found.strip():
        return found
    messages = value(state, keys.messages) or ()
    asked = next((m for m in reversed(messages) if isinstance(m, HumanMessage)), None)
    if asked is None or not str(asked.text).strip():
        raise InvalidValueError(
            f"the state has no question under {keys.question!r}",
            hint="pass keys=Keys(question=..., messages=...)",
        )
    return str(asked.text)


def documents_in(state: Any, keys: Keys) -> list[Document] | None:
    """Return the documents; None where the state has none.

    Raises:
        InvalidValueError: something else than documents stands there.
    """
    found = value(state, keys.documents)
    if found is None:
        return None
    if isinstance(found, str | Mapping) or not isinstance(found, Sequence):
        raise InvalidValueError(f"{keys.documents!r} holds a {type(found).__name__}, not a list of documents")
    return [_document(item, keys.documents) for item in found]


def as_given(documents: Sequence[Document], state: Any, keys: Keys) -> list[Any]:
    """Return documents in the form that the state has them in, documents or their JSON."""
    found = value(state, keys.documents) or ()
    if found and all(isinstance(item, Mapping) for item in found):
        return [{"id": d.id, "page_content": d.page_content, "metadata": d.metadata} for d in documents]
    return list(documents)


def turn_in(state: Any, keys: Keys, answer: str) -> Turn | Report | None:
    """Return the turn to judge; the report of a retrieval that allows of no answer; None where nobody retrieved.

    The retrieval promise stays with documents that are as the gate left them.
    """
    documents = documents_in(state, keys)
    question = question_in(state, keys)
    if documents is None:
        evidence = evidence_in(value(state, keys.messages) or ())
        return evidence.turn(answer) if evidence.asked else None
    passages = as_passages(documents)
    earlier = _report(value(state, keys.report))
    if earlier is not None and earlier.turn.question == question:
        if [(p.id, p.text) for p in earlier.passages] == [(p.id, p.text) for p in passages]:
            settled = not earlier.released and all(v.stage is not Stage.ANSWER for v in earlier.verdicts)
            return earlier if settled else earlier.turn.replace(answer=answer)
    return Turn(question=question, passages=passages, answer=answer)


def drafted_in(state: Any, keys: Keys) -> AIMessage | str:
    """Return the answer that waits in the state.

    Raises:
        InvalidValueError: there is none.
    """
    if keys.messages is None:
        found = value(state, keys.answer)
        if isinstance(found, str | AIMessage):
            return found
    else:
        messages = value(state, keys.messages) or ()
        if messages and isinstance(messages[-1], AIMessage):
            return messages[-1]
    raise InvalidValueError(
        f"the state has no answer under {keys.messages or keys.answer!r}",
        hint="let a node write one, or pass draft=...",
    )


def text_of(drafted: Any) -> str:
    """Return the text of a draft.

    Raises:
        InvalidValueError: it is neither a string nor a message.
    """
    if isinstance(drafted, BaseMessage):
        return str(drafted.text)
    if not isinstance(drafted, str):
        raise InvalidValueError(f"the draft is a {type(drafted).__name__}, not text or a message")
    return drafted


def shown(drafted: AIMessage | str, text: str, facts: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """Return the update that shows a text: of the answer, or of the message under the draft's own id."""
    if keys.messages is None:
        return {keys.answer: text}
    message = drafted if isinstance(drafted, AIMessage) else AIMessage(drafted)
    if message.id is None:
        # What replaces it later has to find it.
        message = message.model_copy(update={"id": str(uuid.uuid4())})
    return {keys.messages: [shown_message(message, text, facts)]}


def judged(drafted: AIMessage | str, report: Report, keys: Keys) -> dict[str, Any]:
    """Return the update that shows what a report releases, with the report beside it."""
    facts = {"judged": True, **small_report(report)}
    return {**shown(drafted, report.text or "", facts, keys), keys.report: shown_report(report)}


def reviewed(state: Any, text: str, kind: str, keys: Keys) -> dict[str, Any]:
    """Return the update after a person's decision: the text, and nothing waiting any more."""
    waiting = value(state, keys.review) or {}
    report = {**(value(state, keys.report) or {}), "reviewed": kind}
    facts = {**waiting.get(FACTS, {}), "reviewed": kind, "released": kind != "reject"}
    message = AIMessage(text, id=waiting.get("message_id"))
    return {**shown(message, text, facts, keys), keys.report: report, keys.review: None}


def _document(item: Any, key: str) -> Document:
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(page_content=item)
    if isinstance(item, Mapping) and isinstance(item.get("page_content"), str):
        return Document(
            id=item.get("id"), page_content=item["page_content"], metadata=dict(item.get("metadata") or {})
        )
    raise InvalidValueError(f"{key!r} holds a {type(item).__name__}, not a document")


def _report(found: Any) -> Report | None:
    """A report of ours, read back from the state; None for anything else."""
    if not isinstance(found, Mapping):
        return None
    told = {key: item for key, item in found.items() if key != "reviewed"}
    try:
        return Report.model_validate_json(json.dumps(told))
    except (ValidationError, TypeError, ValueError):
        return None

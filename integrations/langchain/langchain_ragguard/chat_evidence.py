"""What an answer in a conversation is judged by: the question asked last, and the passages found for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_ragguard.documents import as_passage, passage_id
from langchain_ragguard.middleware_evidence import Reach, evidence_in
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.types import Message, Passage, Report, Turn

Asked: TypeAlias = Turn | Report | None
"""The turn to judge; the report of a retrieval after which no answer may be shown; None to judge nothing."""
ContextExtractor: TypeAlias = Callable[[Sequence[BaseMessage]], Asked]
"""From the messages that a model is given to the turn that its answer is judged in."""

PASSAGES = "ragguard_passages"
"""Key of a config's "configurable" under which passages are given for one call."""


def last_exchange(
    messages: Sequence[BaseMessage],
    *,
    retrieval_tools: Collection[str] | None = None,
    reach: Reach = "turn",
) -> Turn | Report:
    """Return the last question of a conversation, and the passages that tools have found since.

    What counts is what counts for `RagGuardMiddleware`: the report of a guarded retrieval,
    else the documents of an artifact, else a tool's text. Where no tool has given a result,
    the turn's passages are None.

    Args:
        messages: oldest first.
        retrieval_tools: names of the tools whose results are evidence; None for all.
        reach: whether results since the last human message count, or of the whole thread.
    """
    tools = None if retrieval_tools is None else tuple(retrieval_tools)
    evidence = evidence_in(cast(Any, messages), tools=tools, reach=reach)
    if not evidence.asked:
        return Turn(question=evidence.question, history=_history(messages))
    found = evidence.turn("")
    return found if isinstance(found, Report) else found.replace(answer=None, history=_history(messages))


def as_passages(
    context: str | Document | Passage | Iterable[Any], *, id_key: str | None = None
) -> tuple[Passage, ...]:
    """Return documents, texts and passages as passages, each id once; documents' scores are not taken over.

    Args:
        context: one of them, or several.
        id_key: metadata key that names a document.

    Raises:
        InvalidValueError: it holds something else.
        DuplicateIdError: two documents of different text have one id.
    """
    single = isinstance(context, str | Document | Passage | Mapping) or not isinstance(context, Iterable)
    passages: dict[str, Passage] = {}
    for part in [context] if single else context:
        passage = _passage(part, id_key)
        if passages.setdefault(passage.id, passage).text != passage.text:
            raise DuplicateIdError(f"two documents of different text share the id {passage.id!r}")
    return tuple(passages.values())


def _passage(part: Any, id_key: str | None) -> Passage:
    if isinstance(part, Passage):
        return part
    if isinstance(part, str):
        document = Document(page_content=part)
        return as_passage(document, name=passage_id(document))
    if isinstance(part, Document):
        return as_passage(part, name=passage_id(part, id_key=id_key))
    raise InvalidValueError(
        f"passages hold a {type(part).__name__}", hint="give documents, texts or ragguard passages"
    )


def _history(messages: Sequence[BaseMessage]) -> tuple[Message, ...]:
    """What was said before the last question."""
    asked = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=0)
    return tuple(_said(messages[:asked]))


def _said(messages: Sequence[BaseMessage]) -> Iterator[Message]:
    for message in messages:
        text = str(message.text)
        if not text.strip():
            continue
        if isinstance(message, HumanMessage):
            yield Message(role="user", text=text)
        elif isinstance(message, AIMessage):
            yield Message(role="assistant", text=text)
        elif isinstance(message, SystemMessage):
            yield Message(role="system", text=text)

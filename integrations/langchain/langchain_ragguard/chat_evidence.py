"""What an answer in a conversation is judged by: the question asked last, and the passages found for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_ragguard.documents import as_passage, passage_id
from ragguard.errors import DuplicateIdError, InvalidValueError
from ragguard.types import Message, Passage, Turn

ContextExtractor: TypeAlias = Callable[[Sequence[BaseMessage]], Turn | None]
"""From the messages that the model is given to the turn that its answer is judged in; None leaves it unjudged."""

PASSAGES = "ragguard_passages"
"""Key of a config's "configurable" under which passages are given for one call."""


def last_exchange(
    messages: Sequence[BaseMessage],
    *,
    retrieval_tools: Collection[str] | None = None,
    id_key: str | None = None,
) -> Turn:
    """Return the last question of a conversation, and the passages that tools have found since.

    Passages are the documents in the artifacts of the tools' messages. A tool that is named
    in `retrieval_tools` and gives no artifact is taken at its text. Messages of failed tools
    do not count. Where no tool has retrieved, the turn's passages are None; where one has
    and found nothing, they are ().

    Args:
        messages: oldest first.
        retrieval_tools: names of the tools that retrieve; None for every tool with documents.
        id_key: metadata key that names a document.

    Raises:
        InvalidValueError: no human message has any text.
        DuplicateIdError: two documents of different text have one id.
    """
    place = next((i for i in reversed(range(len(messages))) if _asks(messages[i])), None)
    if place is None:
        raise InvalidValueError(
            "no human message has a text to take the question from",
            hint="pass context_extractor=..., which returns the turn",
        )
    found = [
        part
        for message in messages[place + 1 :]
        if (part := _retrieved(message, retrieval_tools)) is not None
    ]
    passages = None if not found else as_passages([d for part in found for d in part], id_key=id_key)
    return Turn(
        question=str(messages[place].text), passages=passages, history=tuple(_history(messages[:place]))
    )


def as_passages(
    context: str | Document | Passage | Iterable[Any], *, id_key: str | None = None
) -> tuple[Passage, ...]:
    """Return documents, texts and passages as passages, each id once; their scores are not taken over.

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


def _asks(message: BaseMessage) -> bool:
    return isinstance(message, HumanMessage) and bool(str(message.text).strip())


def _retrieved(message: BaseMessage, tools: Collection[str] | None) -> list[Any] | None:
    """What a tool's message has found; None where it did not retrieve."""
    if not isinstance(message, ToolMessage) or message.status == "error":
        return None
    if tools is not None and message.name not in tools:
        return None
    artifact = message.artifact
    if isinstance(artifact, Document):
        return [artifact]
    if isinstance(artifact, list | tuple) and all(isinstance(d, Document) for d in artifact):
        return list(artifact)
    text = str(message.text)
    return None if tools is None or not text.strip() else [text]


def _history(messages: Sequence[BaseMessage]) -> Iterator[Message]:
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

"""What a chain hands to the verifier, read as the turn to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables.utils import AddableDict

from langchain_ragguard.documents import as_passage, passage_id
from langchain_ragguard.middleware_messages import calling_message
from ragguard.errors import DuplicateIdError, InvalidValueError, RagGuardError
from ragguard.types import Generation, Passage, Report, Turn

Judged: TypeAlias = Report | AIMessage | RagGuardError
"""What became of an input: a report; a message that only calls tools; or why it could not be read."""


@dataclass(frozen=True)
class Keys:
    """Where the parts of a turn stand in a mapping.

    Attributes:
        question: a string.
        standalone: the question as it was retrieved with; optional.
        context: documents, strings, or a mixture; or one of them.
        answer: a string or a message.
        report: a retriever's `Report`, instead of question and context.
        document: metadata key that names a document, or None.
    """

    question: str
    standalone: str
    context: str
    answer: str
    report: str
    document: str | None = None

    def read(self, given: Any) -> Turn | Report | AIMessage:
        """Return the turn to judge; or what needs no judging.

        That is the report of a retrieval after which no answer may be shown, or of a message
        that holds tool calls and no text the calls, without what nobody judges beside them.

        Raises:
            InvalidValueError: a key is missing or holds something else than it should.
            DuplicateIdError: two texts of the context share a name.
        """
        if not isinstance(given, Mapping):
            raise InvalidValueError(f"the guard takes a mapping, got {type(given).__name__}")
        answer = self._value(given, self.answer)
        if isinstance(answer, AIMessage) and answer.tool_calls and not str(answer.text).strip():
            return calling_message(answer)
        asked = self.asked(given)
        return asked if isinstance(asked, Report) else asked.replace(answer=text_of(answer, self.answer))

    def read_many(self, given: Iterable[Any]) -> list[Turn | Judged]:
        """`read` for several; what is wrong with one is returned in its place."""
        return [self._read_or_error(one) for one in given]

    def asked(self, given: Mapping[str, Any]) -> Turn | Report:
        """Return the turn without its answer, or the report of a retrieval that released nothing."""
        earlier = given.get(self.report)
        if isinstance(earlier, Report):
            return earlier.turn.replace(answer=None) if earlier.released else earlier
        question = text_of(self._value(given, self.question), self.question)
        standalone = given.get(self.standalone)
        turn = Turn(
            question=question,
            standalone=None if standalone is None else text_of(standalone, self.standalone),
            passages=self._passages(self._value(given, self.context)),
        )
        if not question.strip() or not turn.query.strip():
            raise InvalidValueError("the question is empty", hint="pass a question with at least one word")
        return turn

    def complete(self, given: Mapping[str, Any]) -> bool:
        """Whether everything but the answer is there."""
        whole = given.get(self.question) is not None and given.get(self.context) is not None
        return whole or isinstance(given.get(self.report), Report)

    def _read_or_error(self, given: Any) -> Turn | Judged:
        try:
            return self.read(given)
        except RagGuardError as error:
            return error

    def _value(self, given: Mapping[str, Any], key: str) -> Any:
        if given.get(key) is None:
            raise InvalidValueError(
                f"the input has no {key!r}", hint="the keys can be set, e.g. answer_key=..."
            )
        return given[key]

    def _passages(self, context: Any) -> tuple[Passage, ...]:
        parts = [context] if isinstance(context, str | Document) else context
        if not isinstance(parts, Sequence) or any(not isinstance(p, str | Document) for p in parts):
            raise InvalidValueError(f"{self.context!r} holds neither text nor documents")
        passages: dict[str, Passage] = {}
        for part in parts:
            document = Document(page_content=part) if isinstance(part, str) else part
            name = passage_id(document, id_key=None if isinstance(part, str) else self.document)
            passage = as_passage(document, name=name)
            if passages.setdefault(name, passage).text != passage.text:
                raise DuplicateIdError(f"two documents of different text share the id {name!r}")
        return tuple(passages.values())


def gathered(chunks: Iterable[Any]) -> dict[str, Any]:
    """Return the chunks of a stream as one input.

    Raises:
        InvalidValueError: a chunk is no mapping, so that the answer cannot be told from the rest.
    """
    whole = AddableDict()
    for chunk in chunks:
        whole = whole + mapping(chunk)
    return whole


def mapping(chunk: Any) -> AddableDict:
    """Return a chunk as something that can be added to another.

    Raises:
        InvalidValueError: it is no mapping.
    """
    if not isinstance(chunk, Mapping):
        raise InvalidValueError(f"the guard takes a stream of mappings, got {type(chunk).__name__}")
    return AddableDict(chunk)


def text_of(value: Any, key: str) -> str:
    """Return the text of a string or a message.

    Raises:
        InvalidValueError: it is neither.
    """
    if isinstance(value, BaseMessage | Generation):
        return str(value.text)
    if not isinstance(value, str):
        raise InvalidValueError(f"{key!r} holds a {type(value).__name__}, not text")
    return value

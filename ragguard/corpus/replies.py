"""Reading what a language model replied: data that fits a schema, or a fault.

A reply may quote a passage, and whoever wrote the passage may have written it for
this parser. So a reply is decoded as JSON and nothing else, is bounded in length
and depth, and what is wrong with it is told in our words, never in its own.
"""

from __future__ import annotations

import json
import unicodedata
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from ragguard.errors import GenerationError

MAX_REPLY = 20_000
MAX_QUESTION = 400
MAX_ANSWER = 400
_MAX_STARTS = 64
# Joiners, direction marks and soft hyphens: scripts need them, and they hide nothing.
_KEPT_FORMAT = frozenset("\u200c\u200d\u200e\u200f\u00ad")

Schema = TypeVar("Schema", bound=BaseModel)


class Fault(StrEnum):
    """Why a reply gave no question, as a stable identifier with one sentence each (`Fault.sentence`)."""

    NOT_TEXT = "not_text"
    TOO_LONG = "too_long"
    NO_JSON = "no_json"
    WRONG_SHAPE = "wrong_shape"
    BAD_CHARACTERS = "bad_characters"
    TOO_SHORT = "too_short"
    ANSWER_NOT_IN_PASSAGE = "answer_not_in_passage"
    REFERS_TO_PASSAGE = "refers_to_passage"
    TOO_MUCH_OVERLAP = "too_much_overlap"
    DUPLICATE_QUESTION = "duplicate_question"
    CHECK_UNREADABLE = "check_unreadable"
    UNANSWERABLE = "unanswerable"
    ANSWERS_DIFFER = "answers_differ"

    @property
    def sentence(self) -> str:
        """What was wrong, for the next attempt's prompt and for people; it quotes no reply."""
        return _SENTENCES[self]


_SENTENCES = {
    Fault.NOT_TEXT: "The reply was not text.",
    Fault.TOO_LONG: "The reply, the question or the answer was too long.",
    Fault.NO_JSON: "The reply held no valid JSON object.",
    Fault.WRONG_SHAPE: "The JSON object lacked a required key, or a value had the wrong type.",
    Fault.BAD_CHARACTERS: "The reply held control characters or invisible characters.",
    Fault.TOO_SHORT: "The question had too few words, or the answer was empty.",
    Fault.ANSWER_NOT_IN_PASSAGE: "The answer was not copied word for word from the passage.",
    Fault.REFERS_TO_PASSAGE: "The question mentioned the passage, which its reader cannot see.",
    Fault.TOO_MUCH_OVERLAP: "The question repeated too many words of the passage; use other words.",
    Fault.DUPLICATE_QUESTION: "The same question was already asked of another passage; be more specific.",
    Fault.CHECK_UNREADABLE: "The question could not be checked.",
    Fault.UNANSWERABLE: "A reader could not answer the question from the passage.",
    Fault.ANSWERS_DIFFER: "A reader found another answer in the passage; ask so that only one fits.",
}


class ReplyError(GenerationError):
    """A reply cannot be used; `fault` says why, and the reply is quoted nowhere."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.sentence.rstrip("."), details={"fault": fault.value})


def reply_text(reply: Any) -> str:
    """Return the text of a reply: a string, or the content of a chat message.

    Raises:
        ReplyError: it is neither, or too long to be an answer to a short prompt.
    """
    content = reply if isinstance(reply, str) else getattr(reply, "content", None)
    if isinstance(content, list):  # a message in blocks, of which some are text
        texts = [block.get("text") if isinstance(block, dict) else block for block in content]
        content = "".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str):
        raise ReplyError(Fault.NOT_TEXT)
    if len(content) > MAX_REPLY:
        raise ReplyError(Fault.TOO_LONG)
    return content


def parse_reply(reply: str, schema: type[Schema]) -> Schema:
    """Return the first JSON object of a reply, checked against the schema.

    The object may stand in a code fence or between sentences. Numbers that JSON
    lacks (NaN), a key given twice, unpaired surrogates and any depth that the
    decoder refuses are faults. Nothing of the reply is ever run.

    Args:
        schema: a pydantic model; keys it does not know are passed over or refused
            as it declares.

    Raises:
        ReplyError: there is no such object.
    """
    if len(reply) > MAX_REPLY:
        raise ReplyError(Fault.TOO_LONG)
    found = _first_object(reply)
    try:
        return schema.model_validate(found)
    except ValidationError as error:
        # `from None`: pydantic's error holds the reply.
        raise ReplyError(_fault_of(error)) from None


def _first_object(reply: str) -> dict[str, Any]:
    """The first object that decodes; a bounded number of braces is tried, so time stays linear."""
    start = reply.find("{")
    for _ in range(_MAX_STARTS):
        if start < 0:
            break
        found = _decoded(reply, start)
        if found is not None:
            return found
        start = reply.find("{", start + 1)
    raise ReplyError(Fault.NO_JSON)


def _decoded(reply: str, start: int) -> dict[str, Any] | None:
    try:
        value, _ = _DECODER.raw_decode(reply, start)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):  # bad JSON, endless digits, lone surrogates, depth
        return None
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # which of the two is meant, no one can say
        raise ValueError("a key occurs twice")
    return found


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_twins)


def is_clean(text: str) -> bool:
    """True when no character is a control (but line ends and tabs), invisible, or without meaning.

    Direction overrides and tag characters can hide text from a reader.
    """
    return not any(
        unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") and c not in _KEPT_FORMAT
        for c in text
        if c not in "\n\r\t"
    )


def _clean(text: str) -> str:
    if not is_clean(text):
        raise ValueError(Fault.BAD_CHARACTERS.value)
    return text


def _fault_of(error: ValidationError) -> Fault:
    """The gravest fault among those that pydantic lists, by its own error types."""
    kinds = {item["type"] for item in error.errors(include_url=False, include_context=False)}
    return next((fault for kind, fault in _BY_KIND.items() if kind in kinds), Fault.WRONG_SHAPE)


_BY_KIND = {
    "missing": Fault.WRONG_SHAPE,
    "string_type": Fault.WRONG_SHAPE,
    "string_too_long": Fault.TOO_LONG,
    "value_error": Fault.BAD_CHARACTERS,
    "string_too_short": Fault.TOO_SHORT,
}


def _text(shortest: int, longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=shortest, max_length=longest)


class _Reply(BaseModel):
    # Strict: "true" is not a truth value. Further keys ("reasoning") are passed over.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class QuestionReply(_Reply):
    """A question and the words of the passage that answer it."""

    question: Annotated[str, _text(1, MAX_QUESTION), AfterValidator(_clean)]
    answer: Annotated[str, _text(1, MAX_ANSWER), AfterValidator(_clean)]


class CheckReply(_Reply):
    """Whether a reader of the passage could answer the question, and how."""

    answerable: bool
    answer: Annotated[str, _text(0, 4 * MAX_ANSWER), AfterValidator(_clean)] = ""

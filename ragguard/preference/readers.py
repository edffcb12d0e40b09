"""A reader with everything that determines its answers: name, prompt, decoding and weights.

Preferences hold for one reader alone, so its identity is hashed into an id that
every record and every cached answer carries. Another prompt is another reader.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal, TypeAlias

from ragguard.corpus.replies import reply_text
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.generators import as_generator
from ragguard.protocols import Fingerprint
from ragguard.types import Generation, Passage

Takes: TypeAlias = Literal["auto", "prompt", "question"]
_CHUNK = 4096  # so many asks are sorted and batched together by a local model: passages recur
_LETTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a reader, with the passages it is shown, best first; `sample` tells repetitions apart."""

    question: str
    passages: tuple[str, ...] = ()
    sample: int = 0


@dataclass(frozen=True)
class ReaderPrompt:
    """How a question is put to a reader that takes one string.

    The passages come first, the best of them last: what many prompts begin with is
    read once by a local model, and small models heed most what is nearest.

    Args:
        shown: with `{passages}` and `{question}`.
        closed: with `{question}` alone, for the answer without passages.
    """

    shown: str = "{passages}\n\nAnswer in a few words: {question}"
    closed: str = "Answer in a few words: {question}"

    def __post_init__(self) -> None:
        for name, text, wanted in (
            ("shown", self.shown, {"passages", "question"}),
            ("closed", self.closed, {"question"}),
        ):
            try:
                found = {key for _, key, _, _ in Formatter().parse(text) if key is not None}
            except ValueError as error:
                raise InvalidValueError(f"the prompt {name!r} has an open brace", hint="double it") from error
            if found != wanted:
                raise InvalidValueError(
                    f"the prompt {name!r} names {sorted(found)}, not {sorted(wanted)}",
                    hint="e.g. " + repr(ReaderPrompt.shown if name == "shown" else ReaderPrompt.closed),
                )

    def render(self, ask: Ask) -> str:
        """Return the prompt."""
        if not ask.passages:
            return self.closed.format(question=ask.question)
        texts = [" ".join(text.split()) for text in reversed(ask.passages)]
        return self.shown.format(passages="\n\n".join(texts), question=ask.question)

    @property
    def digest(self) -> str:
        """A hash of both templates and of the order of passages."""
        return _digest([self.shown, self.closed, "best last"])


Answers: TypeAlias = Callable[[Sequence[Ask]], Iterator[tuple[int, str]]]


@dataclass(frozen=True)
class Reader:
    """A reader that can be probed; made by `as_reader`.

    Attributes:
        name: as people call it.
        identity: all that determines an answer, JSON-serialisable.
        chunk: asks handed over at once.
    """

    name: str
    identity: Fingerprint
    chunk: int
    _answers: Answers = field(repr=False)
    _tokens: Callable[[Ask], int] = field(repr=False)

    @property
    def id(self) -> str:
        """Name and hash of the identity; what records and cached answers carry."""
        slug = re.sub(r"[^\w.]+", "-", self.name).strip("-") or "reader"
        return f"{slug}-{_digest(dict(self.identity))[:12]}"

    def answers(self, asks: Sequence[Ask], /) -> Iterator[tuple[int, str]]:
        """Yield (place in `asks`, answer), each once, in the order in which they are ready."""
        return self._answers(asks)

    def tokens(self, ask: Ask, /) -> int:
        """Return the tokens read for an ask: counted by a local model, else a quarter of the characters."""
        return self._tokens(ask)


def as_reader(
    target: Any,
    *,
    name: str | None = None,
    prompt: ReaderPrompt | None = None,
    takes: Takes = "auto",
    temperature: float | None = None,
    decoding: Mapping[str, Any] | None = None,
) -> Reader:
    """Return any model, callable or runnable as a reader.

    Args:
        target: an object with `complete_many(prompts)` or `generate_many(items)`, which
            is asked in batches; one with `.invoke(prompt)`, as LangChain's runnables;
            or a callable.
        name: needed unless the target has a `fingerprint()` that names it. Change it
            when the model behind it changes: nobody else can tell.
        prompt: for targets that take one string.
        takes: what a callable is given: its "prompt", or "question" and passages as
            f(question, passages). "auto": a prompt for `.invoke` and `complete_many`.
        temperature: handed on to callables with a `temperature` parameter and to
            runnables; None leaves the target as it is.
        decoding: further settings that determine an answer, for the identity.

    Raises:
        InvalidValueError: nothing can be asked, or the target takes no temperature.
        ConfigurationError: the reader has no name.
    """
    if isinstance(target, Reader):
        return target
    own = _own_fingerprint(target)
    called = name or own.get("model") or own.get("generator")
    if not isinstance(called, str) or not called.strip():
        raise ConfigurationError("the reader has no name", hint="name it, with a version: name='my-model-1'")
    style = _style(target, takes)
    template = prompt or ReaderPrompt()
    by_prompt = style in ("batched", "invoke", "prompt")
    identity = {
        "name": called,
        "prompt": template.digest if by_prompt else "question and passages",
        "decoding": {**(decoding or {}), **({} if temperature is None else {"temperature": temperature})},
        "model": own,
    }
    _require_json(identity)
    if style == "batched":
        if temperature is not None:
            raise InvalidValueError(
                "a batched model has its own temperature", hint="set it where it is constructed"
            )
        return Reader(
            called,
            identity,
            _CHUNK,
            lambda asks: _batched(target, template, asks),
            lambda ask: (
                int(target.count_tokens(template.render(ask)))
                if hasattr(target, "count_tokens")
                else _estimate(template.render(ask))
            ),
        )
    if style == "many":
        _refuse_temperature(temperature)
        return Reader(called, identity, _CHUNK, lambda asks: _many(target, asks), _estimate_ask)
    answer = _single(target, style, template, temperature)
    tokens = (lambda ask: _estimate(template.render(ask))) if by_prompt else _estimate_ask
    return Reader(called, identity, 1, lambda asks: ((i, answer(ask)) for i, ask in enumerate(asks)), tokens)


def reader_id(target: Any, **settings: Any) -> str:
    """Return the id that `as_reader(target, **settings)` has; asks nothing."""
    return as_reader(target, **settings).id


def _style(target: Any, takes: Takes) -> str:
    if takes not in ("auto", "prompt", "question"):
        raise InvalidValueError(f"takes is auto, prompt or question, not {takes!r}")
    if hasattr(target, "complete_many") and takes != "question":
        return "batched"
    if hasattr(target, "generate_many") and takes != "prompt":
        return "many"
    if hasattr(target, "invoke") and takes != "question":
        return "invoke"
    if not callable(target):
        raise InvalidValueError(
            f"a {type(target).__name__} is no reader",
            hint="pass f(question, passages) or an object with .invoke",
        )
    return "prompt" if takes == "prompt" else "question"


def _batched(target: Any, template: ReaderPrompt, asks: Sequence[Ask]) -> Iterator[tuple[int, str]]:
    prompts = [template.render(ask) for ask in asks]
    if hasattr(target, "stream_many"):
        yield from target.stream_many(prompts, seeds=[ask.sample for ask in asks])
    else:
        yield from enumerate(_as_many(target.complete_many(prompts), len(asks)))


def _many(target: Any, asks: Sequence[Ask]) -> Iterator[tuple[int, str]]:
    items = [(ask.question, _passages(ask)) for ask in asks]
    yield from enumerate(_as_many(target.generate_many(items), len(asks)))


def _as_many(replies: Any, wanted: int) -> list[str]:
    found = [reply_text(reply) for reply in replies]
    if len(found) != wanted:
        raise InvalidValueError(f"the reader gave {len(found)} answers to {wanted} questions")
    return found


def _single(
    target: Any, style: str, template: ReaderPrompt, temperature: float | None
) -> Callable[[Ask], str]:
    if style == "invoke":
        bound = target if temperature is None else _bound(target, temperature)
        return lambda ask: reply_text(bound.invoke(template.render(ask)))
    extra = _accepted(target, temperature)
    seeded = "seed" in _parameters(target)

    def answer(ask: Ask) -> str:
        settings = {**extra, **({"seed": ask.sample} if seeded else {})}
        if style == "prompt":
            return reply_text(target(template.render(ask), **settings))
        if settings:
            reply = target(ask.question, _passages(ask), **settings)
        else:
            reply = as_generator(target)(ask.question, _passages(ask))
        return reply.text if isinstance(reply, Generation) else reply_text(reply)

    return answer


def _bound(target: Any, temperature: float) -> Any:
    if not hasattr(target, "bind"):
        _refuse_temperature(temperature)
    return target.bind(temperature=temperature)


def _accepted(target: Any, temperature: float | None) -> dict[str, float]:
    if temperature is None:
        return {}
    if "temperature" not in _parameters(target):
        _refuse_temperature(temperature)
    return {"temperature": temperature}


def _parameters(target: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):  # built in: it does not say
        return {}


def _refuse_temperature(temperature: float | None) -> None:
    if temperature is not None:
        raise InvalidValueError(
            "this reader takes no temperature", hint="give it a `temperature` parameter, or set it inside"
        )


def _passages(ask: Ask) -> list[Passage]:
    return [Passage(id=f"passage-{number}", text=text) for number, text in enumerate(ask.passages, 1)]


def _own_fingerprint(target: Any) -> dict[str, Any]:
    own = getattr(target, "fingerprint", None)
    return dict(own()) if callable(own) and not isinstance(target, type) else {}


def _require_json(identity: Mapping[str, Any]) -> None:
    try:
        json.dumps(identity, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            "the reader's settings are not JSON", hint="use strings, numbers, lists and objects"
        ) from error


def _estimate(text: str) -> int:
    return max(1, len(text) // _LETTERS_A_TOKEN)


def _estimate_ask(ask: Ask) -> int:
    return _estimate("".join((ask.question, *ask.passages)))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

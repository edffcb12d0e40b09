"""Generators: one that only quotes, and an adapter for the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ragguard.errors import GenerationError, InvalidValueError
from ragguard.models.prompts import I_DONT_KNOW, fingerprint_of, plain_prompt
from ragguard.protocols import Fingerprint
from ragguard.text.sentences import sentence_spans
from ragguard.text.words import content_words
from ragguard.types import Generation, Passage
from ragguard.worker import run_on_worker

_RANK_DISCOUNT = 0.1
_STOPS = ".!?:…。！？।॥؟"


class ExtractiveGenerator:
    """Quotes the sentences nearest to the question; no language model, nothing made up.

    A sentence scores the share of the question's content words that it holds,
    less a tenth for each passage ranked before its own. Says "I don't know." when
    no sentence holds more than `least_shared` of them.

    Args:
        max_sentences: quoted at most, at least 1.
        least_shared: share of the question's content words that a sentence must exceed, in [0, 1).
    """

    def __init__(self, max_sentences: int = 2, *, least_shared: float = 1 / 3) -> None:
        if max_sentences < 1:
            raise InvalidValueError(f"max_sentences must be at least 1, got {max_sentences}")
        if not 0 <= least_shared < 1:
            raise InvalidValueError(f"least_shared must lie in [0, 1), got {least_shared}", hint="e.g. 0.33")
        self.max_sentences = max_sentences
        self.least_shared = least_shared

    def __call__(self, question: str, passages: Sequence[Passage], /) -> str:
        """Return the best sentences in the order of the passages, or "I don't know."."""
        wanted = content_words(question)
        found: dict[str, tuple[float, int]] = {}
        for rank, passage in enumerate(passages):
            for start, end in sentence_spans(passage.text):
                sentence = " ".join(passage.text[start:end].split())
                shared = len(wanted & content_words(sentence)) / max(len(wanted), 1)
                if shared > self.least_shared and sentence not in found:
                    found[sentence] = (-shared * (1 - _RANK_DISCOUNT) ** rank, len(found))
        best = sorted(found, key=found.__getitem__)[: self.max_sentences]
        return _joined(sorted(best, key=lambda s: found[s][1])) or I_DONT_KNOW

    def fingerprint(self) -> Fingerprint:
        """Name and settings."""
        return {
            "generator": "extractive",
            "version": 1,
            "max_sentences": self.max_sentences,
            "least_shared": self.least_shared,
        }


class AdaptedGenerator:
    """A user's callable or LangChain-style object as a generator; made by `as_generator`."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self._invokes = hasattr(target, "invoke")

    def __call__(self, question: str, passages: Sequence[Passage], /) -> str | Generation:
        """Return what the target says, as text; a `Generation` is passed on.

        Raises:
            GenerationError: it returned neither text nor a message with text.
        """
        if self._invokes:
            return _text_of(self._target.invoke(plain_prompt(question, passages)))
        return _text_of(self._target(question, passages))

    async def acall(self, question: str, passages: Sequence[Passage], /) -> str | Generation:
        """`__call__`, through the target's `ainvoke` or coroutine function where it has one."""
        if self._invokes and hasattr(self._target, "ainvoke"):
            return _text_of(await self._target.ainvoke(plain_prompt(question, passages)))
        if not self._invokes and _is_async(self._target):
            return _text_of(await self._target(question, passages))
        return await run_on_worker(self, question, passages)

    def fingerprint(self) -> Fingerprint:
        """The target's own, or its name and the prompt's hash; its weights are not ours to know."""
        own = getattr(self._target, "fingerprint", None)
        if callable(own):
            found: Fingerprint = own()
            return found
        name = getattr(self._target, "__qualname__", type(self._target).__qualname__)
        prompt = fingerprint_of(plain_prompt("", [])) if self._invokes else None
        return {"generator": "adapted", "target": name, "prompt": prompt}


def as_generator(obj: Any) -> AdaptedGenerator:
    """Return the object as a generator.

    Anything with `.invoke` (a LangChain chat model or runnable) is given one
    prompt string; any other callable is called as f(question, passages). A
    returned message gives its `content` or `text`.

    Raises:
        InvalidValueError: it has no `.invoke` and cannot be called.
    """
    if isinstance(obj, AdaptedGenerator):
        return obj
    if not hasattr(obj, "invoke") and not callable(obj):
        raise InvalidValueError(
            f"a {type(obj).__name__} is no generator",
            hint="pass f(question, passages) or an object with .invoke",
        )
    return AdaptedGenerator(obj)


def _is_async(target: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__)


def _text_of(reply: Any) -> str | Generation:
    """Text of a string, of a message, or of a message's content blocks."""
    if isinstance(reply, Generation):
        return reply
    for found in (reply, getattr(reply, "content", None), getattr(reply, "text", None)):
        if isinstance(found, str):
            return str(found)
        if isinstance(found, list):
            blocks = (
                b if isinstance(b, str) else b.get("text", "") for b in found if isinstance(b, str | dict)
            )
            return "".join(blocks)
    if inspect.iscoroutine(reply):
        reply.close()
        raise GenerationError(
            "the generator is asynchronous", hint="call it through the asynchronous pipeline"
        )
    raise GenerationError(f"the generator returned a {type(reply).__name__}, not text")


def _joined(sentences: Sequence[str]) -> str:
    """One string in which each sentence is still found as one."""
    text = ""
    for sentence in sentences:
        ended = text.rstrip("\"')]*_`”’»").endswith(tuple(_STOPS)) and not sentence[0].islower()
        gap = " " if ended else "\n\n"
        text = f"{text}{gap}{sentence}" if text else sentence
    return text

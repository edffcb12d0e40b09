"""Every character that a guarded model emits belongs to a claim judged releasable, however the answer is cut up."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_ragguard.chat_models import GuardedChatModel
from ragguard import ConsistencyGuard, Passage, Pipeline, Turn
from ragguard.alignment.lexical import LexicalAligner

from .provider import ScriptedProvider

QUESTION = "What is known of the lamp?"
TRUE = ["The lamp weighs 4 kilograms.", "The lamp is green.", "Lamps last 2.5 years, e.g. in Bergen."]
FALSE = ["The lamp is a purple zyzzyva.", "The lamp weighs 9 kilograms."]
OTHER = ["I don't know.", "Hello there!", "- ", "\n\n", "3. "]
PASSAGES = TRUE
REFUSALS = ("I can't show an answer to this:", "I don't know:")

answers = st.lists(st.sampled_from(TRUE * 3 + FALSE + OTHER), min_size=1, max_size=6).map(" ".join)


class Cut(ScriptedProvider):
    """Says a text in pieces that end at the places given."""

    places: list[int]

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        text = str(self._next(messages, stop, kwargs).text)
        ends = sorted({min(place, len(text)) for place in self.places} | {len(text)})
        for start, end in zip([0, *ends], ends, strict=False):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[start:end]))


def guard() -> Pipeline:
    return Pipeline([ConsistencyGuard(LexicalAligner())])


def releasable(part: str) -> bool:
    """Whether the guard, asked about this text alone, would have it shown."""
    passages = tuple(Passage(id=text, text=text) for text in PASSAGES)
    return guard().check(Turn(question=QUESTION, passages=passages, answer=part)).released


def emitted(text: str, places: list[int]) -> str:
    model = GuardedChatModel(inner=Cut(answers=[text], places=places), guard=guard(), mode="sentence")
    return "".join(chunk.text for chunk in model.stream(QUESTION, passages=PASSAGES))


@settings(max_examples=60, deadline=None)
@given(text=answers, places=st.lists(st.integers(1, 200), max_size=12))
def test_what_comes_out_is_released_sentences_and_the_guards_message(text: str, places: list[int]) -> None:
    found = emitted(text, places)
    begins = min((found.find(r) for r in REFUSALS if r in found), default=len(found))
    released, message = found[:begins], found[begins:]
    assert text.startswith(released.rstrip()), "a prefix of the answer"
    assert (message == "") is (released == text), (
        "all of the answer, or a part of it and why there is no more"
    )
    assert not released.strip() or releasable(released), "no character of a claim that is not"
    assert not any(sentence in released for sentence in FALSE)


@settings(max_examples=25, deadline=None)
@given(text=answers, one=st.lists(st.integers(1, 200), max_size=12), two=st.integers(1, 30))
def test_the_same_comes_out_however_the_answer_is_cut(text: str, one: list[int], two: int) -> None:
    async def asynchronously() -> str:
        inner = ScriptedProvider(answers=[text], size=two)
        model = GuardedChatModel(inner=inner, guard=guard(), mode="sentence")
        return "".join([c.text async for c in model.astream(QUESTION, passages=PASSAGES)])

    whole = GuardedChatModel(inner=ScriptedProvider(answers=[text]), guard=guard(), mode="sentence")
    assert emitted(text, one) == asyncio.run(asynchronously())
    assert emitted(text, one) == whole.invoke(QUESTION, passages=PASSAGES).text

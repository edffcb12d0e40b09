"""However a stream is cut into chunks, nothing comes out of it that was not judged releasable before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import Runnable, RunnableGenerator

from langchain_ragguard import RagGuardVerifier
from ragguard import Action, ConsistencyGuard, Report, Stage, Turn, Verdict
from ragguard.alignment.lexical import LexicalAligner

CONTEXT = ["Nickel is a metal. Its hardness is 4.0 on the scale of Mohs. Dr. Cronstedt isolated it in 1751."]
SUPPORTED = (
    "Nickel is a metal.",
    "Its hardness is 4.0 on the scale of Mohs.",
    "Dr. Cronstedt isolated it in 1751.",
    "- It is a metal\n",
    "Hello!",
)
WITHHELD = (
    "Elephants are pink.",
    "Its hardness is 9.",
    "Cronstedt did not isolate it in 1751.",
    "Wombats purr",
)

ANSWERS = st.lists(st.sampled_from(SUPPORTED + WITHHELD), min_size=1, max_size=5).map(" ".join)


class Noting:
    """The consistency guard, which notes every part of an answer that it has judged releasable."""

    name, stages = "noting", frozenset({Stage.ANSWER})

    def __init__(self) -> None:
        self.releasable: list[str] = []
        self._inner = ConsistencyGuard(LexicalAligner())

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        verdict = self._inner.check(turn, stage)
        if verdict.action is Action.PASS:
            self.releasable.append(turn.answer or "")
        return verdict

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[str, list[str]]:
    """An answer, and the same cut anywhere."""
    answer = draw(ANSWERS)
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(answer) - 1)), max_size=len(answer))))
    edges = [0, *cuts, len(answer)]
    return answer, [answer[a:b] for a, b in pairwise(edges)]


def chain(pieces: list[str], guard: Any, mode: Any) -> Runnable[Any, Any]:
    """A model that says the pieces, and the verifier."""

    def model(_: Iterator[Any]) -> Iterator[dict[str, Any]]:
        yield {"question": "What is nickel?", "context": CONTEXT}
        for piece in pieces:
            yield {"answer": piece}

    async def amodel(_: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
        for chunk in model(iter(())):
            yield chunk

    return RunnableGenerator(model, amodel) | RagGuardVerifier(guard=guard, mode=mode)


def followed(stream: Iterator[dict[str, Any]], noting: Noting, answer: str) -> tuple[str, dict[str, Any]]:
    """What was shown before the end and the last chunk; each piece was judged when it came out."""
    shown, last = "", {}
    for last in stream:
        if "released" in last:
            break
        shown += last["answer"]
        assert answer.startswith(shown)
        assert any(part.startswith(shown) for part in noting.releasable), "shown before it was judged"
    return shown, last


@given(chunked())
def test_every_character_shown_belongs_to_a_claim_already_judged_releasable(
    cut: tuple[str, list[str]],
) -> None:
    answer, pieces = cut
    noting = Noting()
    shown, last = followed(chain(pieces, noting, "sentence").stream({}), noting, answer)
    if last["released"]:
        assert shown + last["answer"] == answer
        assert answer in noting.releasable
    else:
        message = last["answer"].removeprefix("\n\n") if shown else last["answer"]
        assert message == Report.model_validate(last["ragguard"]).text
        assert not any(word in shown + message for word in ("pink", "9", "did not", "Wombats"))


@given(chunked())
def test_what_comes_out_does_not_depend_on_the_chunks_nor_on_the_loop(cut: tuple[str, list[str]]) -> None:
    async def astreamed() -> list[dict[str, Any]]:
        return [c async for c in chain(pieces, Noting(), "sentence").astream({})]

    def told(chunks: list[dict[str, Any]]) -> tuple[str, bool]:
        return "".join(c["answer"] for c in chunks), chunks[-1]["released"]

    answer, pieces = cut
    whole = told(list(chain([answer], Noting(), "sentence").stream({})))
    assert told(list(chain(pieces, Noting(), "sentence").stream({}))) == whole
    assert told(asyncio.run(astreamed())) == whole


@given(chunked())
def test_withheld_to_its_end_an_answer_comes_out_whole_or_not_at_all(cut: tuple[str, list[str]]) -> None:
    answer, pieces = cut
    noting = Noting()
    (only,) = chain(pieces, noting, "withhold").stream({})
    assert only["released"] is (answer in noting.releasable)
    assert (only["answer"] == answer) is only["released"]
    sentences = list(chain(pieces, Noting(), "sentence").stream({}))
    assert sentences[-1]["released"] is only["released"]

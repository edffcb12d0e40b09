from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.dataclasses import ChatMessage, Document, StreamingChunk, ToolCallDelta
from haystack.dataclasses.chat_message import ReasoningContent
from hypothesis import given, settings
from hypothesis import strategies as st

from haystack_integrations.components.guards.ragguard import (
    AnswerStreamGate,
    ConformalDocumentGate,
    FactualConsistencyValidator,
    guarded_streaming_callback,
)
from haystack_integrations.components.guards.ragguard.streaming import GuardedStream
from haystack_integrations.components.guards.ragguard.turns import asked_turn
from ragguard import ConsistencyGuard
from ragguard.alignment.claims import split_claims
from ragguard.errors import InvalidValueError
from ragguard.pipeline import Pipeline as Guards

from .conftest import (
    BAD,
    GOOD,
    LEXICAL,
    PROMPT,
    QUESTION,
    SECRET,
    NotedAligner,
    ScriptedChat,
    answering,
    asking,
    by_words,
    guarded,
    retrieval,
)

TEXT = "The module tomllib parses TOML. It was added in Python 3.11. It reads binary files. It cannot write."
EVIDENCE = [Document(id="tomllib", content=TEXT)]
TRUE = ["The module tomllib parses TOML.", "It was added in Python 3.11.", "It reads binary files."]
FALSE = [
    "It was written in Rust by nine ferrets.",
    "It costs 40 euros a month.",
    "Nobody has parsed TOML since 1990.",
]


class Heard:
    """What a user's callback is told; a plain function, as pipelines copy every object they are given."""

    def __init__(self) -> None:
        self.chunks: list[StreamingChunk] = []

        def now(chunk: StreamingChunk) -> None:
            self.chunks.append(chunk)

        async def later(chunk: StreamingChunk) -> None:
            await asyncio.sleep(0)
            self.chunks.append(chunk)

        self.now, self.later = now, later

    @property
    def text(self) -> str:
        return "".join(chunk.content for chunk in self.chunks)

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = self.chunks[-1].meta["ragguard"]
        return found


def streamed(pieces: list[str], mode: Any, guard: Any = None, **last: Any) -> Heard:
    heard = Heard()
    callback = guarded_streaming_callback(
        heard.now, query="What of tomllib?", documents=EVIDENCE, guard=guard or by_words(), mode=mode
    )
    for piece in pieces:
        callback(StreamingChunk(content=piece, meta={"logprobs": piece}))
    callback(StreamingChunk(content="", finish_reason=last.get("finish_reason", "stop")))
    return heard


def test_withhold_passes_on_a_whole_answer_at_its_end() -> None:
    heard = streamed(["The module tom", "llib parses TOML. It was ", "added in Python 3.11."], "withhold")
    assert [c.content for c in heard.chunks] == [
        "The module tomllib parses TOML. It was added in Python 3.11."
    ]
    assert heard.report["released"] is True
    assert heard.chunks[0].finish_reason == "stop"


def test_withhold_passes_on_nothing_of_an_answer_at_fault() -> None:
    heard = streamed([TRUE[0] + " ", FALSE[0]], "withhold")
    assert heard.text.startswith("I can't show an answer")
    assert "ferrets" not in repr(heard.chunks)
    assert "tomllib" not in heard.text


def test_sentence_passes_on_what_was_judged_and_stops_at_the_first_failure() -> None:
    heard = streamed([TRUE[0] + " ", TRUE[1] + " ", FALSE[0] + " ", TRUE[2]], "sentence")
    shown = "".join(c.content for c in heard.chunks[:-1])
    assert shown.strip() == " ".join(TRUE[:2])
    assert heard.chunks[-1].content.startswith("\n\nI can't show an answer")
    assert heard.report["released"] is False
    assert "ferrets" not in repr(heard.chunks)


def test_sentence_lets_out_the_rest_at_the_end_and_marks_the_threshold_uncalibrated() -> None:
    heard = streamed([TRUE[0] + " ", TRUE[1]], "sentence")
    assert heard.text == " ".join(TRUE[:2])
    assert len(heard.chunks) > 1
    assert any(v["uncalibrated"] for v in heard.report["verdicts"])


def test_a_redacted_answer_is_passed_on_redacted() -> None:
    redacting = ConsistencyGuard(by_words().aligner, policy="redact")
    for mode in ("withhold", "sentence"):
        heard = streamed([f"{TRUE[0]} {FALSE[1]}"], mode, redacting)
        assert heard.text.strip() == TRUE[0]


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({min(p, len(text)) for p in places} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@settings(max_examples=50)
@given(
    sentences=st.lists(st.sampled_from([*TRUE, *FALSE]), min_size=1, max_size=5),
    places=st.lists(st.integers(1, 200), max_size=30),
    mode=st.sampled_from(["sentence", "withhold"]),
)
def test_every_character_passed_on_belongs_to_a_claim_judged_releasable(
    sentences: list[str], places: list[int], mode: str
) -> None:
    answer = " ".join(sentences)
    heard = streamed(cut(answer, places), mode)
    passed = "".join(c.content for c in heard.chunks if "ragguard" not in c.meta)
    if heard.report["released"]:
        passed = heard.text
    assert answer.startswith(passed)
    guard = by_words()
    evidence = guard.aligner.align(
        split_claims(passed), asked_turn("q", EVIDENCE, retrieval=None, id_key=None).passages
    )
    assert all(e.outcome == "supported" for e in evidence)
    assert not any(false in heard.text for false in FALSE)
    # However it is cut into pieces, the same comes out.
    assert heard.text == streamed([answer], mode).text


def test_reasoning_tool_calls_results_and_meta_are_not_passed_on() -> None:
    heard = Heard()
    callback = guarded_streaming_callback(
        heard.now, query="q", documents=EVIDENCE, guard=by_words(), mode="sentence"
    )
    callback(StreamingChunk(content="", index=0, reasoning=ReasoningContent(SECRET)))
    callback(StreamingChunk(content=f"Let me look up {SECRET}", meta={"logprobs": SECRET}))
    callback(StreamingChunk(content="", index=1, tool_calls=[ToolCallDelta(index=1, arguments=SECRET)]))
    callback(StreamingChunk(content="", finish_reason="tool_calls"))
    assert heard.chunks == []
    for piece in (TRUE[0] + " ", TRUE[1]):
        callback(StreamingChunk(content=piece, meta={"logprobs": SECRET}))
    callback(StreamingChunk(content="", finish_reason="stop"))
    assert heard.text == " ".join(TRUE[:2])
    assert SECRET not in repr(heard.chunks)


def test_an_agent_that_asks_its_model_again_gets_each_answer_judged() -> None:
    heard = Heard()
    callback = guarded_streaming_callback(heard.now, query="q", documents=EVIDENCE, guard=by_words())
    for answer in (FALSE[0], TRUE[0]):
        callback(StreamingChunk(content=answer))
        callback(StreamingChunk(content="", finish_reason="stop"))
        callback(StreamingChunk(content="", meta={"usage": 3}))
    assert [c.meta["ragguard"]["released"] for c in heard.chunks] == [False, True]
    assert heard.chunks[1].content == TRUE[0]


def test_a_generator_that_says_no_end_is_finished_by_hand() -> None:
    heard = Heard()
    stream = GuardedStream(
        Guards([by_words()]),
        asked_turn("q", EVIDENCE, retrieval=None, id_key=None),
        callback=heard.now,
        mode="withhold",
    )
    stream.take(StreamingChunk(content=TRUE[0]))
    assert heard.chunks == []
    report = stream.finish()
    assert report is not None
    assert report.released
    assert stream.finish() is report
    assert heard.text == TRUE[0]
    assert len(heard.chunks) == 1


def test_an_unfinished_stream_has_passed_on_nothing_unjudged() -> None:
    heard = Heard()
    callback = guarded_streaming_callback(
        heard.now, query="q", documents=EVIDENCE, guard=by_words(), mode="sentence"
    )
    callback(StreamingChunk(content=f"{TRUE[0]} {FALSE[0]}"))
    assert heard.text in ("", TRUE[0] + " ")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="mode must be one of withhold, sentence"):
        AnswerStreamGate(mode="raw")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_on_an_event_loop_even_a_plain_callback_judges_on_another_thread(mode: Any) -> None:
    heard, aligner = Heard(), NotedAligner()
    callback = guarded_streaming_callback(
        heard.now, query="q", documents=EVIDENCE, guard=ConsistencyGuard(aligner), mode=mode
    )
    for piece in cut(" ".join(TRUE), [10, 33, 50]):
        callback(StreamingChunk(content=piece))
    callback(StreamingChunk(content="", finish_reason="stop"))
    assert heard.text == " ".join(TRUE)
    assert threading.get_ident() not in aligner.threads


async def test_a_coroutine_callback_judges_off_the_loops_thread() -> None:
    for mode in ("withhold", "sentence"):
        heard, aligner = Heard(), NotedAligner()
        guard = ConsistencyGuard(aligner)
        callback = guarded_streaming_callback(
            heard.later,
            query="q",
            documents=EVIDENCE,
            guard=guard,
            mode=mode,  # type: ignore[arg-type]
        )
        for piece in cut(" ".join(TRUE), [10, 33, 50]):
            await callback(StreamingChunk(content=piece))  # type: ignore[misc]
        await callback(StreamingChunk(content="", finish_reason="stop"))  # type: ignore[misc]
        assert heard.text == " ".join(TRUE)
        assert aligner.threads
        assert threading.get_ident() not in aligner.threads


# In a pipeline


def streaming(store: Any, folder: Path, chat: Any, mode: Any, guard: Any = LEXICAL) -> Pipeline:
    pipeline = guarded(retrieval(store), ConformalDocumentGate(folder))
    answering(pipeline, chat, FactualConsistencyValidator(guard, calibration=folder))
    pipeline.add_component("stream", AnswerStreamGate(guard, calibration=folder, mode=mode))
    pipeline.connect("gate.documents", "stream.documents")
    pipeline.connect("gate.report", "stream.retrieval")
    pipeline.connect("stream.streaming_callback", "llm.streaming_callback")
    return pipeline


def heard_by(question: str, callback: Any) -> dict[str, Any]:
    return {**asking(question), "stream": {"query": question, "streaming_callback": callback}}


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_a_generator_in_a_pipeline_streams_only_what_was_released(
    store: Any, folder: Path, mode: str
) -> None:
    for said in (GOOD, BAD, f"{GOOD} {BAD}"):
        now, later = Heard(), Heard()
        pipeline = streaming(store, folder, ScriptedChat([said]), mode)
        out = pipeline.run(heard_by(QUESTION, now.now))
        await pipeline.run_async(heard_by(QUESTION, later.later))
        assert SECRET not in repr(now.chunks)
        assert now.text == later.text
        assert now.report["released"] is (said == GOOD)
        assert SECRET not in repr(out)


@pytest.mark.parametrize("mode", ["withhold", "sentence"])
async def test_the_pipelines_own_stream_yields_only_what_was_released(
    store: Any, folder: Path, mode: str
) -> None:
    for said in (GOOD, f"{GOOD} {BAD}"):
        pipeline = streaming(store, folder, ScriptedChat([said]), mode)
        handle = pipeline.stream(heard_by(QUESTION, None), streaming_components=["stream"])
        chunks = [chunk async for chunk in handle]
        assert SECRET not in repr(chunks)
        assert chunks[-1].meta["ragguard"]["released"] is (said == GOOD)


async def test_without_the_gate_the_same_streams_show_what_was_withheld(store: Any, folder: Path) -> None:
    heard = Heard()
    pipeline = guarded(retrieval(store), ConformalDocumentGate(folder))
    answering(pipeline, ScriptedChat([BAD]), FactualConsistencyValidator(LEXICAL))
    pipeline.run({**asking(QUESTION), "llm": {"streaming_callback": heard.now}})
    assert SECRET in heard.text
    raw = [chunk.content async for chunk in pipeline.stream(asking(QUESTION))]
    assert SECRET in "".join(raw)


async def test_a_stream_that_is_given_up_has_shown_nothing_unjudged(store: Any, folder: Path) -> None:
    pipeline = streaming(store, folder, ScriptedChat([f"{GOOD} {GOOD} {BAD}"], size=3), "sentence")
    async for chunk in pipeline.stream(heard_by(QUESTION, None), streaming_components=["stream"]):
        assert chunk.content == GOOD + " "
        break


async def test_the_pipelines_own_stream_cannot_bypass_the_gate(store: Any, folder: Path) -> None:
    pipeline = streaming(store, folder, ScriptedChat([BAD]), "withhold")
    chunks: list[StreamingChunk] = []

    async def read(components: list[str] | None) -> None:
        async for chunk in pipeline.stream(heard_by(QUESTION, None), streaming_components=components):
            chunks.append(chunk)

    for components in (["llm", "stream"], None):
        with pytest.raises(ValueError, match="streaming_callback"):
            await read(components)
    assert chunks == []


async def test_the_validator_itself_can_be_the_stream_of_a_pipeline(store: Any, folder: Path) -> None:
    for said in (GOOD, BAD):
        pipeline = guarded(retrieval(store), ConformalDocumentGate(folder))
        answering(pipeline, ScriptedChat([said]), FactualConsistencyValidator(LEXICAL))
        handle = pipeline.stream(asking(QUESTION), streaming_components=["verify"])
        (chunk,) = [chunk async for chunk in handle]
        assert SECRET not in repr(chunk)
        assert chunk.meta["ragguard"]["released"] is (said == GOOD)
        heard = Heard()
        pipeline.run({**asking(QUESTION), "verify": {"query": QUESTION, "streaming_callback": heard.now}})
        assert heard.text == chunk.content


def test_where_nothing_was_found_nothing_of_any_answer_is_streamed(store: Any, folder: Path) -> None:
    heard = Heard()
    pipeline = streaming(store, folder, ScriptedChat([GOOD]), "sentence")
    pipeline.run(heard_by("Who painted the harbour of Bruges?", heard.now))
    assert heard.text.startswith("I don't know")
    assert GOOD not in repr(heard.chunks)


def test_where_nobody_listens_the_generator_does_not_stream(store: Any, folder: Path) -> None:
    pipeline = streaming(store, folder, ScriptedChat([GOOD]), "sentence")
    assert pipeline.run(heard_by(QUESTION, None))["verify"]["accepted"][0].text == GOOD


def test_a_stream_gate_comes_back_from_yaml_without_being_allowed(folder: Path) -> None:
    pipeline = Pipeline()
    pipeline.add_component(
        "stream", AnswerStreamGate(LEXICAL, calibration=folder, mode="sentence", id_key="k")
    )
    pipeline.add_component("prompt", ChatPromptBuilder(template=[ChatMessage.from_user(PROMPT)]))
    text = pipeline.dumps()
    again = Pipeline.loads(text)
    assert again.dumps() == text
    assert again.get_component("stream").mode == "sentence"

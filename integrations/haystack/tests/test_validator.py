from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from haystack import Pipeline, component, tracing
from haystack.components.builders import AnswerBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, ChatRole, Document, TextContent, ToolCall
from haystack.dataclasses.chat_message import ReasoningContent

from haystack_integrations.components.guards.ragguard import (
    ConformalDocumentGate,
    FactualConsistencyValidator,
)
from ragguard import ConsistencyGuard
from ragguard.errors import ConfigurationError, InvalidValueError, RefusalError
from ragguard.guard import Guard
from ragguard.pipeline import Pipeline as Guards
from ragguard.testing import ScriptedGuard
from ragguard.types import Action, Stage

from .conftest import (
    BAD,
    GOOD,
    LEXICAL,
    METALS,
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

EVIDENCE = [Document(id="cobalt-price", content=GOOD, score=0.9)]


def judged(reply: Any, **options: Any) -> dict[str, Any]:
    replies = reply if isinstance(reply, list) else [reply]
    out: dict[str, Any] = FactualConsistencyValidator(by_words(), **options).run(QUESTION, replies, EVIDENCE)
    return out


def test_a_supported_reply_is_accepted_with_a_small_report() -> None:
    said = ChatMessage.from_assistant(GOOD, meta={"model": "m", "logprobs": [1]})
    out = judged(said)
    (accepted,) = out["accepted"]
    assert accepted.text == GOOD
    assert accepted.meta["logprobs"] == [1]
    assert accepted.meta["ragguard"]["action"] == "pass"
    assert accepted.meta["ragguard"]["verdicts"][0]["uncalibrated"] is True
    assert "refused" not in out
    assert said.meta == {"model": "m", "logprobs": [1]}
    json.dumps([accepted.meta, out["report"]])


def test_nothing_of_an_unsupported_reply_comes_out() -> None:
    out = judged(
        ChatMessage.from_assistant(BAD, meta={"model": "m", "logprobs": [SECRET], "usage": {"n": 1}})
    )
    (refused,) = out["refused"]
    assert refused.text.startswith("I can't show an answer")
    assert refused.meta["model"] == "m"
    assert "accepted" not in out
    assert SECRET not in repr(out)
    assert out["report"]["reason"] == "unsupported_answer"


def test_replies_go_their_own_ways_and_together_for_an_answer_builder() -> None:
    out = judged([GOOD, BAD])
    assert [m.text for m in out["accepted"]] == [GOOD]
    assert len(out["refused"]) == 1
    assert out["replies"] == [*out["accepted"], *out["refused"]]
    assert [r["action"] for r in out["reports"]] == ["pass", "refuse"]
    assert out["report"] == out["reports"][1]
    answers = AnswerBuilder().run(query=QUESTION, replies=out["replies"], documents=EVIDENCE)["answers"]
    assert [a.data for a in answers] == [m.text for m in out["replies"]]


def test_all_text_parts_of_a_reply_are_judged() -> None:
    reply = ChatMessage(_role=ChatRole.ASSISTANT, _content=[TextContent(GOOD), TextContent(BAD)])
    assert SECRET not in repr(judged(reply))


def test_reasoning_is_not_judged_and_not_passed_on() -> None:
    reply = ChatMessage.from_assistant(GOOD, reasoning=ReasoningContent(f"Perhaps {SECRET}."))
    out = judged(reply)
    assert out["accepted"][0].text == GOOD
    assert SECRET not in repr(out)


@pytest.mark.parametrize("reply", [None, "", " ", ChatMessage.from_assistant("")])
def test_a_reply_without_text_is_refused(reply: Any) -> None:
    assert judged([reply])["report"]["reason"] == "empty_answer"


@pytest.mark.parametrize("replies", [None, []])
def test_no_reply_at_all_is_refused(replies: Any) -> None:
    out = FactualConsistencyValidator(by_words()).run(QUESTION, replies, EVIDENCE)
    assert out["report"]["reason"] == "empty_answer"
    assert out["refused"][0].text


@pytest.mark.parametrize("replies", ["text", [3]])
def test_something_else_than_replies_is_an_error(replies: Any) -> None:
    with pytest.raises(InvalidValueError, match="repl"):
        FactualConsistencyValidator(by_words()).run(QUESTION, replies, EVIDENCE)


def test_a_tool_call_passes_unjudged_without_the_text_beside_it() -> None:
    call = ToolCall(tool_name="search", arguments={"q": "price"})
    bare, speaking = (
        ChatMessage.from_assistant(t, tool_calls=[call], meta={"logprobs": t}) for t in (None, BAD)
    )
    out = judged([bare, speaking])
    assert out["accepted"][0] == ChatMessage.from_assistant(tool_calls=[call])
    assert out["accepted"][1].tool_calls == [call]
    assert SECRET not in repr(out)
    assert out["report"] == {"unjudged": "tool_call"}


def test_a_models_abstention_is_no_answer_and_is_not_called_false() -> None:
    out = judged("I don't know.")
    assert out["report"]["reason"] == "model_abstained"
    assert out["refused"][0].meta["ragguard"]["action"] == "abstain"


def test_without_documents_an_answer_is_unsupported() -> None:
    out = FactualConsistencyValidator(by_words()).run(QUESTION, [GOOD], [])
    assert out["report"]["reason"] == "unsupported_answer"
    with pytest.raises(InvalidValueError, match="nothing to judge by"):
        FactualConsistencyValidator(by_words()).run(QUESTION, [GOOD])


# Policies


def test_redact_leaves_out_the_claims_at_fault() -> None:
    out = judged(ChatMessage.from_assistant(f"{GOOD} {BAD}", meta={"logprobs": SECRET}), policy="redact")
    assert out["accepted"][0].text == GOOD
    assert SECRET not in repr(out)


def test_annotate_accepts_and_says_what_is_unsupported() -> None:
    out = judged(f"{GOOD} {BAD}", policy="annotate")
    citations = out["accepted"][0].meta["ragguard"]["citations"]
    assert [c["marks"] for c in citations] == [["1"], ["unsupported"]]


def test_raise_raises_without_quoting() -> None:
    with pytest.raises(RefusalError) as caught:
        judged(BAD, policy="raise")
    assert SECRET not in str(caught.value)


def test_regenerate_asks_again_inside_and_shows_no_draft() -> None:
    chat = ScriptedChat([BAD, GOOD])
    prompt = [ChatMessage.from_user("the prompt")]
    validator = FactualConsistencyValidator(by_words(), policy="regenerate", generator=chat)
    out = validator.run(QUESTION, [BAD], EVIDENCE, messages=prompt)
    assert out["accepted"][0].text == GOOD
    assert SECRET not in repr(out)
    assert [m.text for m in chat.seen[0][:2]] == ["the prompt", BAD]
    assert "do not say" in chat.seen[0][2].text
    assert len(chat.seen) == 2


async def test_regenerate_gives_up_after_its_attempts() -> None:
    prompt = [ChatMessage.from_user("the prompt")]
    for _ in range(2):
        chat = ScriptedChat([BAD])
        validator = FactualConsistencyValidator(by_words(), policy="regenerate", generator=chat)
        out = await validator.run_async(QUESTION, [BAD], EVIDENCE, messages=prompt)
        assert len(chat.seen) == 2
        assert SECRET not in repr(out)
        assert out["report"]["action"] == "refuse"


def test_regenerate_without_a_generator_says_what_to_do_as_data() -> None:
    assert judged(BAD, policy="regenerate")["refused"][0].meta["ragguard"]["request"]["do"] == "regenerate"


def test_regenerate_needs_the_prompt_and_a_silent_generator() -> None:
    with pytest.raises(InvalidValueError, match="prompt"):
        judged(BAD, policy="regenerate", generator=ScriptedChat([GOOD]))
    chat = ScriptedChat([GOOD])
    chat.streaming_callback = print
    with pytest.raises(ConfigurationError, match="streams"):
        FactualConsistencyValidator(by_words(), generator=chat)


def test_policies_that_cannot_be_carried_out_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="policy must be one of"):
        FactualConsistencyValidator(policy="interrupt")  # type: ignore[arg-type]
    judging = FactualConsistencyValidator(ScriptedGuard(Stage.ANSWER), policy="redact")
    with pytest.raises(ConfigurationError, match="no guard here knows"):
        judging.warm_up()


def test_guards_that_judge_no_answer_are_refused() -> None:
    for guard in (ScriptedGuard(Stage.PASSAGES), Guard(None, guards=()), Guards([]), []):
        with pytest.raises(ConfigurationError, match="no guard judges answers"):
            FactualConsistencyValidator(guard).warm_up()
    with pytest.raises(ConfigurationError, match="neither a Guard"):
        FactualConsistencyValidator(3).warm_up()
    with pytest.raises(ConfigurationError, match="guard: guard"):
        FactualConsistencyValidator({"guard": []}).warm_up()


# In a pipeline, with the gate


def whole(store: Any, folder: Path, chat: Any, guard: Any = LEXICAL, **options: Any) -> Pipeline:
    validator = FactualConsistencyValidator(guard, **options)
    return answering(guarded(retrieval(store), ConformalDocumentGate(folder)), chat, validator)


def test_end_to_end_the_promise_stays_with_the_answer(store: Any, folder: Path) -> None:
    pipeline = whole(store, folder, ScriptedChat([GOOD]), calibration=folder)
    out = pipeline.run(asking(QUESTION))["verify"]
    assert out["accepted"][0].text == GOOD
    assert out["report"]["certificates"][0]["status"] == "valid"
    assert out["accepted"][0].meta["ragguard"]["certificates"] == {"retrieval": "valid"}


def test_a_document_left_out_on_the_way_to_the_answer_voids_the_promise(store: Any, folder: Path) -> None:
    gate = ConformalDocumentGate(folder)
    found = retrieval(store).run({"embedder": {"text": QUESTION}})["retriever"]["documents"]
    out = gate.run(QUESTION, found)
    validator = FactualConsistencyValidator(LEXICAL, calibration=folder)
    judged_out = validator.run(QUESTION, [GOOD], out["documents"][:1], out["report"])
    assert judged_out["report"]["certificates"][0]["status"] == "void"


def test_where_nothing_was_found_no_answer_is_shown_whatever_it_says(store: Any, folder: Path) -> None:
    chat = ScriptedChat([GOOD])
    pipeline = whole(store, folder, chat, calibration=folder)
    out = pipeline.run(asking("Who painted the harbour of Bruges?"))["verify"]
    assert out["report"]["action"] == "abstain"
    assert "accepted" not in out
    assert GOOD not in repr(out)


def test_where_nothing_was_found_a_branch_can_spare_the_generator(store: Any, folder: Path) -> None:
    chat = ScriptedChat([GOOD])
    gate = ConformalDocumentGate(folder, on_empty="branch")
    pipeline = answering(guarded(retrieval(store), gate), chat, FactualConsistencyValidator(LEXICAL))
    out = pipeline.run(asking("Who painted the harbour of Bruges?"))
    assert chat.seen == []
    assert out["gate"]["refused"][0].text.startswith("I don't know")


def test_each_branch_runs_only_where_it_got_something(store: Any, folder: Path) -> None:
    for said, branch in ((GOOD, "shown"), (BAD, "hidden")):
        pipeline = whole(store, folder, ScriptedChat([said]))
        for name, output in (("shown", "accepted"), ("hidden", "refused")):
            pipeline.add_component(name, AnswerBuilder())
            pipeline.connect(f"verify.{output}", f"{name}.replies")
        out = pipeline.run({**asking(QUESTION), "shown": {"query": QUESTION}, "hidden": {"query": QUESTION}})
        assert {"shown", "hidden"} & out.keys() == {branch}


def test_a_report_on_another_question_or_no_report_is_an_error(folder: Path) -> None:
    report = ConformalDocumentGate(folder).run("another question", [])["report"]
    with pytest.raises(InvalidValueError, match="another question"):
        FactualConsistencyValidator(LEXICAL).run(QUESTION, [GOOD], EVIDENCE, report)
    with pytest.raises(InvalidValueError, match="no report"):
        FactualConsistencyValidator(LEXICAL).run(QUESTION, [GOOD], EVIDENCE, {"action": SECRET})


def test_raise_reaches_the_caller_of_the_pipeline(store: Any, folder: Path) -> None:
    with pytest.raises(PipelineRuntimeError) as caught:
        whole(store, folder, ScriptedChat([BAD]), policy="raise").run(asking(QUESTION))
    assert isinstance(caught.value.__cause__, RefusalError)


def test_the_whole_pipeline_comes_back_from_yaml_without_being_allowed(store: Any, folder: Path) -> None:
    validator = FactualConsistencyValidator(
        LEXICAL, calibration=folder, policy="regenerate", generator=MockChatGenerator(BAD), id_key="name"
    )
    pipeline = answering(
        guarded(retrieval(store), ConformalDocumentGate(folder)), MockChatGenerator(BAD), validator
    )
    pipeline.remove_component("embedder")
    again = Pipeline.loads(pipeline.dumps())
    assert again.to_dict()["components"] == pipeline.to_dict()["components"]
    back = again.get_component("verify")
    assert (back.guard, back.policy, back.id_key) == (LEXICAL, "regenerate", "name")
    assert type(back.generator) is MockChatGenerator


def test_settings_in_a_file_serve_and_live_guards_cannot_be_written(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("guards: [{use: consistency, options: {aligner: lexical}}]", encoding="utf-8")
    validator = FactualConsistencyValidator(path)
    assert validator.to_dict()["init_parameters"]["guard"] == str(path)
    assert "accepted" in validator.run(QUESTION, [GOOD], EVIDENCE)
    for live in (by_words(), Guards([by_words()])):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            FactualConsistencyValidator(live).to_dict()
        with pytest.raises(ConfigurationError, match="own calibration"):
            FactualConsistencyValidator(live, calibration=folder).warm_up()


def test_constructing_makes_no_guard_and_warming_up_makes_it_once() -> None:
    validator = FactualConsistencyValidator({"guards": [{"use": "no such guard"}]})
    with pytest.raises(Exception, match="no such guard"):
        validator.warm_up()
    validator = FactualConsistencyValidator(LEXICAL)
    validator.warm_up()
    made = validator._pipeline()
    validator.warm_up()
    assert validator._pipeline() is made


def test_a_generator_of_plain_strings_can_be_connected() -> None:
    @component
    class Plain:
        @component.output_types(replies=list[str])
        def run(self, prompt: str) -> dict[str, list[str]]:
            return {"replies": [prompt]}

    pipeline = Pipeline()
    pipeline.add_component("llm", Plain())
    pipeline.add_component("verify", FactualConsistencyValidator(by_words()))
    pipeline.connect("llm.replies", "verify.replies")
    data = {"llm": {"prompt": GOOD}, "verify": {"query": QUESTION, "documents": EVIDENCE}}
    assert pipeline.run(data)["verify"]["accepted"][0].text == GOOD


# Asynchrony


async def test_run_and_run_async_agree(store: Any, folder: Path) -> None:
    for said in (GOOD, BAD, "I don't know."):
        pipeline = whole(store, folder, ScriptedChat([said]), calibration=folder)
        now, later = (
            pipeline.run(asking(QUESTION))["verify"],
            (await pipeline.run_async(asking(QUESTION)))["verify"],
        )
        assert now.keys() == later.keys()
        assert now["replies"] == later["replies"]


async def test_concurrent_runs_keep_their_own_evidence_off_the_loops_thread(store: Any, folder: Path) -> None:
    aligner = NotedAligner()

    def copied(messages: list[ChatMessage]) -> str:
        metal = next(m for m in METALS if f"of {m}?" in messages[-1].text)
        return f"The price of {metal} is listed in table {metal} price."

    pipeline = whole(store, folder, ScriptedChat([copied]), [ConsistencyGuard(aligner)])
    asked = [f"What is the price of {metal}?" for metal in METALS] * 6
    found = await asyncio.gather(*(pipeline.run_async(asking(question)) for question in asked))
    for question, out in zip(asked, found, strict=True):
        metal = question.split()[-1].rstrip("?")
        assert out["verify"]["accepted"][0].text == f"The price of {metal} is listed in table {metal} price."
        assert out["verify"]["report"]["turn"]["question"] == question
        assert f"{metal}-price" in out["verify"]["accepted"][0].meta["ragguard"]["passages"]
    assert aligner.threads
    assert threading.get_ident() not in aligner.threads


async def test_a_refusal_of_the_guard_itself_is_no_answer_either() -> None:
    failing = ScriptedGuard(Stage.ANSWER, does=ValueError(SECRET))
    out = await FactualConsistencyValidator(failing).run_async(QUESTION, [GOOD], EVIDENCE)
    assert out["report"]["reason"] == "guard_error"
    assert SECRET not in repr(out)
    assert Action.REFUSE.value == out["report"]["action"]


# Tracing


class Spans(tracing.Tracer):
    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def trace(self, operation_name: str, tags: Any = None, parent_span: Any = None) -> Any:
        tags = dict(tags or {})
        self.seen.append((operation_name, tags))

        class Noted(tracing.Span):
            def set_tag(self, key: str, value: Any) -> None:
                tags[key] = value

        @contextmanager
        def opened() -> Any:
            yield Noted()

        return opened()

    def current_span(self) -> None:
        return None


def test_spans_say_what_was_decided_and_quote_nothing(store: Any, folder: Path) -> None:
    tracer = Spans()
    tracing.enable_tracing(tracer)
    try:
        whole(store, folder, ScriptedChat([BAD])).run(asking(QUESTION))
    finally:
        tracing.disable_tracing()
    ours = {name: tags for name, tags in tracer.seen if name.startswith("ragguard.")}
    assert ours["ragguard.cut"]["ragguard.documents_in"] == 10
    assert ours["ragguard.verify"]["ragguard.reason_code"] == "unsupported_answer"
    assert SECRET not in repr(ours)
    assert "cobalt" not in repr(ours)

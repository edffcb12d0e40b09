from __future__ import annotations

import json
from typing import Any

import llama_index.core.instrumentation as instrument
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import PydanticResponse, Response
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.indices.query.query_transform.base import BaseQueryTransform
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.query import QueryEndEvent
from llama_index.core.postprocessor import MetadataReplacementPostProcessor
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from pydantic import BaseModel, Field

from llama_index_ragguard import ConformalNodePostprocessor, RagGuardQueryEngine
from llama_index_ragguard.testing import HashEmbedding, ScriptedLLM
from ragguard import Action, Guard, Pipeline, RefusalError, Report, Stage
from ragguard.errors import CalibrationMismatchError, ConfigurationError, InvalidValueError, UnknownNameError
from ragguard.testing import ScriptedGuard

from .conftest import ASKED, FALSE, STRANGE, TRUE, FixedRetriever, by_words, records


def everything(response: Any) -> str:
    """All that a caller can read off a response."""
    return json.dumps(
        [
            str(response),
            response.metadata,
            response.get_formatted_sources(length=10_000),
            [n.to_dict() for n in response.source_nodes],
        ],
        default=str,
    )


def told(response: Any) -> Report:
    return Report.model_validate(response.metadata["ragguard"])


class Answering(BaseQueryEngine):
    """An engine that answers with what it is given."""

    def __init__(self, response: Any) -> None:
        self._response = response
        super().__init__(callback_manager=None)

    def _query(self, query_bundle: QueryBundle) -> Any:
        return self._response

    async def _aquery(self, query_bundle: QueryBundle) -> Any:
        return self._response

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}


def source(text: str, name: str = "n") -> NodeWithScore:
    return NodeWithScore(node=TextNode(id_=name, text=text, metadata={"page": 1}), score=0.5)


# What comes out


async def test_a_supported_answer_comes_out_with_its_sources_and_the_promise(guarded: Any) -> None:
    engine = guarded(TRUE)
    for response in (engine.query(ASKED), await engine.aquery(ASKED)):
        assert (type(response), str(response)) == (Response, TRUE)
        assert response.source_nodes[0].node.node_id == "nickel-hardness"
        assert response.metadata["nickel-hardness"]["source"] == "nickel.txt"
        report = told(response)
        assert report.released
        assert report.certificate().status == "valid"  # type: ignore[union-attr]
        assert json.loads(json.dumps(response.metadata["ragguard"])) == response.metadata["ragguard"]


async def test_of_an_unsupported_answer_nothing_comes_out(guarded: Any) -> None:
    engine = guarded(f"{TRUE} {FALSE}")
    for response in (engine.query(ASKED), await engine.aquery(ASKED)):
        assert str(response).startswith("I can't show an answer")
        assert told(response).reason.value == "unsupported_answer"
        assert "purple" not in everything(response)
        assert response.source_nodes


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_empty_retrieval_is_a_refusal_for_want_of_evidence(
    guarded: Any, answering: Any, streaming: bool
) -> None:
    assert str(answering("x", streaming=streaming).query(STRANGE)) == "Empty Response"
    engine = guarded("x", engine={"streaming": streaming})
    for response in (engine.query(STRANGE), await engine.aquery(STRANGE)):
        text = await response._async_str() if hasattr(response, "_async_str") else str(response)
        assert text == "I don't know: No passage of the knowledge base is close enough to count as evidence."
        report = told(response)
        assert (report.action, report.reason.value) == (Action.ABSTAIN, "no_evidence")
        assert report.certificate() is not None
        assert response.source_nodes == []


def test_without_a_cut_too_no_source_means_no_evidence() -> None:
    engine = RagGuardQueryEngine(
        Answering(Response(TRUE)), guard=Pipeline([by_words()], messages={"no_evidence": "Nothing found."})
    )
    response = engine.query(ASKED)
    assert str(response) == "Nothing found."
    assert "nickel" not in json.dumps(response.metadata["ragguard"]["verdicts"])


def test_no_answer_from_sources_is_an_empty_answer() -> None:
    for said in ("Empty Response", "", None):
        response = RagGuardQueryEngine(Answering(Response(said, [source(TRUE)])), guard=by_words()).query(
            ASKED
        )
        assert told(response).reason.value == "empty_answer"


def test_the_model_that_does_not_know_abstains(guarded: Any) -> None:
    response = guarded("I don't know.").query(ASKED)
    assert told(response).reason.value == "model_abstained"


def test_a_failure_of_a_guard_before_the_cut_is_not_called_want_of_evidence(
    index: VectorStoreIndex, questions: list[dict[str, Any]]
) -> None:
    failing = ScriptedGuard(Stage.QUESTION, does=RuntimeError("no model"), name="shield")
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, alpha=0.3, guards=[failing, by_words()]
    )
    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[TRUE]), similarity_top_k=10, node_postprocessors=[cut]
    )
    assert told(RagGuardQueryEngine(inner, guard=cut.guard).query(ASKED)).reason.value == "guard_error"


def test_an_engine_may_not_repeat_a_withheld_answer_in_its_metadata() -> None:
    metadata = {"n": {"page": 1}, "result": FALSE}
    for said, shown in ((FALSE, {"n", "ragguard"}), (TRUE, {"n", "ragguard", "result"})):
        inner = Answering(Response(said, [source(TRUE)], metadata))
        response = RagGuardQueryEngine(inner, guard=by_words()).query(ASKED)
        assert set(response.metadata) == shown


def test_sources_that_a_guard_drops_are_dropped_from_the_response(guarded: Any, answering: Any) -> None:
    def without_best(turn: Any, stage: Stage) -> Any:
        return turn.replace(passages=(turn.passages or ())[1:])

    dropping = ScriptedGuard(Stage.PASSAGES, does=without_best, name="dropping")
    response = guarded("I don't know.", guard=[dropping, by_words()]).query(ASKED)
    assert response.source_nodes
    assert "nickel-hardness" not in {n.node.node_id for n in response.source_nodes} | set(response.metadata)


# Evidence


def test_evidence_is_what_the_model_read_after_the_cut(guarded: Any, cut: ConformalNodePostprocessor) -> None:
    window = "Bananas are purple on the outside. It says so here."
    replacing = MetadataReplacementPostProcessor(target_metadata_key="window")
    index = VectorStoreIndex(
        [
            TextNode(
                id_=n.node_id,
                text=n.text,
                metadata={"window": window},
                excluded_embed_metadata_keys=["window"],
            )
            for n in records()
        ],
        embed_model=HashEmbedding(),
    )
    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[FALSE]), similarity_top_k=10, node_postprocessors=[cut, replacing]
    )
    response = RagGuardQueryEngine(inner, guard=cut.guard).query(ASKED)
    assert str(response) == FALSE
    assert told(response).certificate().status == "valid"  # type: ignore[union-attr]


def test_metadata_that_the_model_reads_can_be_evidence() -> None:
    answer = "The page is 1."
    for mode, released in ((MetadataMode.NONE, False), (MetadataMode.LLM, True)):
        node = NodeWithScore(node=TextNode(text="A record.", metadata={"The page is": 1}), score=1.0)
        engine = RagGuardQueryEngine(
            Answering(Response(answer, [node])), guard=by_words(), metadata_mode=mode
        )
        assert told(engine.query("Which page?")).released is released


def test_a_node_removed_after_the_cut_voids_the_promise(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor
) -> None:
    class Halving(MetadataReplacementPostProcessor):
        def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
            return nodes[:1]

    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[TRUE]),
        similarity_top_k=10,
        node_postprocessors=[cut, Halving(target_metadata_key="none")],
    )
    certificate = told(RagGuardQueryEngine(inner, guard=cut.guard).query(ASKED)).certificate()
    assert certificate is not None
    assert (certificate.status, certificate.voided_by) == ("void", "passages removed after the cut")


def test_sources_that_came_through_no_cut_carry_no_promise(cut: ConformalNodePostprocessor) -> None:
    response = RagGuardQueryEngine(Answering(Response(TRUE, [source(TRUE)])), guard=cut.guard).query(ASKED)
    assert str(response) == TRUE
    assert told(response).certificate().status == "none"  # type: ignore[union-attr]


def test_a_rewritten_question_is_the_one_calibrated_and_the_users_own_is_kept(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor, answering: Any
) -> None:
    class Standalone(BaseQueryTransform):
        def _get_prompts(self) -> dict[str, Any]:
            return {}

        def _update_prompts(self, prompts: Any) -> None: ...

        def _run(self, query_bundle: QueryBundle, metadata: Any) -> QueryBundle:
            return QueryBundle(ASKED)

    inner = TransformQueryEngine(answering(TRUE), Standalone())
    report = told(RagGuardQueryEngine(inner, guard=cut.guard).query("And of nickel?"))
    assert (report.turn.question, report.turn.standalone) == ("And of nickel?", ASKED)
    assert report.certificate().status == "valid"  # type: ignore[union-attr]


def test_the_engines_own_retriever_must_be_the_calibrated_one(
    index: VectorStoreIndex, cut: ConformalNodePostprocessor
) -> None:
    inner = index.as_query_engine(
        llm=ScriptedLLM(answers=[TRUE]), similarity_top_k=5, node_postprocessors=[cut]
    )
    with pytest.raises(CalibrationMismatchError, match="similarity_top_k"):
        RagGuardQueryEngine(inner, guard=cut.guard)


async def test_what_a_retriever_raises_is_passed_on(cut: ConformalNodePostprocessor) -> None:
    failing = FixedRetriever([], error=RuntimeError("store is down"))
    inner = RetrieverQueryEngine.from_args(failing, llm=ScriptedLLM(answers=[TRUE]))
    engine = RagGuardQueryEngine(inner, guard=by_words())
    with pytest.raises(RuntimeError, match="store is down"):
        engine.query(ASKED)
    with pytest.raises(RuntimeError, match="store is down"):
        await engine.aquery(ASKED)


# Policies


async def test_redact_shows_what_is_supported(guarded: Any) -> None:
    engine = guarded(f"{TRUE} {FALSE}", policy="redact")
    for response in (engine.query(ASKED), await engine.aquery(ASKED)):
        assert str(response) == TRUE
        assert "purple" not in everything(response)


def test_annotate_shows_the_answer_and_says_which_claims_fail(guarded: Any) -> None:
    response = guarded(f"{TRUE} {FALSE}", policy="annotate").query(ASKED)
    assert str(response) == f"{TRUE} {FALSE}"
    assert len(told(response).verdicts[-1].details["unsupported"]) == 1


async def test_regenerate_asks_again_from_the_same_nodes_and_says_what_was_wrong(
    answering: Any, cut: ConformalNodePostprocessor
) -> None:
    for where in ("sync", "async"):
        inner = answering(FALSE, TRUE)
        engine = RagGuardQueryEngine(inner, guard=cut.guard, policy="regenerate")
        response = engine.query(ASKED) if where == "sync" else await engine.aquery(ASKED)
        assert str(response) == TRUE
        first, second = inner._response_synthesizer._llm.prompts
        assert FALSE not in first
        assert f"- {FALSE}" in second
        assert all(f"The hardness of {m}" in second for m in ("nickel",))
        assert "purple" not in everything(response)
        assert told(response).certificate().status == "valid"  # type: ignore[union-attr]


def test_regenerate_ends_in_a_refusal(guarded: Any) -> None:
    response = guarded(FALSE, policy="regenerate").query(ASKED)
    assert str(response).startswith("I can't show")
    assert told(response).request is None


def test_an_engine_that_cannot_answer_from_given_nodes_is_not_asked_again() -> None:
    inner = Answering(Response(FALSE, [source(TRUE)]))
    engine = RagGuardQueryEngine(inner, guard=by_words(), policy="regenerate")
    assert str(engine.query(ASKED)).startswith("I can't show")


async def test_raise_raises_without_any_text_of_the_answer(guarded: Any) -> None:
    engine = guarded(FALSE, policy="raise")
    with pytest.raises(RefusalError) as refused:
        engine.query(ASKED)
    assert "purple" not in f"{refused.value} {refused.value.details}"
    with pytest.raises(RefusalError):
        await engine.aquery(ASKED)
    assert str(guarded(TRUE, policy="raise").query(ASKED)) == TRUE


def test_a_policy_changes_no_guard_of_the_users() -> None:
    guard = by_words()
    RagGuardQueryEngine(Answering(Response(TRUE, [source(TRUE)])), guard=guard, policy="redact")
    assert guard.policy == "refuse"


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": "regenerate", "mode": "sentence"},
        {"guard": []},
        {"guard": Guard(None, guards=[])},
        {"guard": 3},
        {"guard": ScriptedGuard(Stage.ANSWER), "policy": "redact"},
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RagGuardQueryEngine(Answering(None), **{"guard": by_words(), **wrong})


@pytest.mark.parametrize("wrong", [{"policy": "shrug"}, {"mode": "passthrough"}])
def test_an_unknown_setting_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        RagGuardQueryEngine(Answering(None), guard=by_words(), **wrong)


# Structured answers


class Metal(BaseModel):
    name: str
    remarks: list[str] = []
    table_number: int | None = None


def test_a_structured_answer_comes_out_as_it_is_or_not_at_all() -> None:
    nodes = [source(TRUE)]
    true, false = Metal(name=TRUE), Metal(name=TRUE, remarks=[FALSE])
    engine = RagGuardQueryEngine(Answering(PydanticResponse(true, nodes)), guard=by_words())
    response = engine.query(ASKED)
    assert isinstance(response, PydanticResponse)
    assert response.response == true
    assert told(response).released
    for policy in ("refuse", "redact"):
        engine = RagGuardQueryEngine(
            Answering(PydanticResponse(false, nodes)), guard=by_words(), policy=policy
        )
        response = engine.query(ASKED)
        assert isinstance(response, Response)
        assert "purple" not in everything(response)


def test_numbers_of_a_structured_answer_are_judged_by_their_name() -> None:
    answer = PydanticResponse(Metal(name=TRUE, table_number=9), [source(TRUE)])
    assert not told(RagGuardQueryEngine(Answering(answer), guard=by_words()).query(ASKED)).released
    chosen = RagGuardQueryEngine(Answering(answer), guard=by_words(), fields=["name"])
    assert told(chosen.query(ASKED)).released
    with pytest.raises(UnknownNameError, match="colour"):
        RagGuardQueryEngine(Answering(answer), guard=by_words(), fields=["colour"]).query(ASKED)


def test_an_answer_of_another_kind_is_an_error() -> None:
    with pytest.raises(InvalidValueError, match="int"):
        RagGuardQueryEngine(Answering(Response(3, [source(TRUE)])), guard=by_words()).query(ASKED)


# As part of something


async def test_synthesize_and_retrieve_are_those_of_the_engine_judged(guarded: Any) -> None:
    engine, bundle = guarded(FALSE), QueryBundle(ASKED)
    nodes = engine.retrieve(bundle)
    assert [n.node.node_id for n in await engine.aretrieve(bundle)] == [n.node.node_id for n in nodes]
    for response in (engine.synthesize(bundle, nodes), await engine.asynthesize(bundle, nodes)):
        assert str(response).startswith("I can't show")
    assert any(key.startswith("query_engine:") for key in engine.get_prompts())


class Noting(BaseEventHandler):
    events: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.events.append(event)


async def test_the_last_event_of_a_query_holds_what_may_be_shown(guarded: Any) -> None:
    noting, dispatcher = Noting(), instrument.get_dispatcher()
    dispatcher.add_event_handler(noting)
    try:
        guarded(FALSE).query(ASKED)
        await guarded(FALSE).aquery(ASKED)
    finally:
        dispatcher.event_handlers.remove(noting)
    said = [str(e.response) for e in noting.events if isinstance(e, QueryEndEvent)]
    assert said[0] == said[2] == FALSE  # the engine inside, as a tracer is meant to see it
    assert said[1].startswith("I can't show")
    assert said[3].startswith("I can't show")


async def test_a_chat_engine_over_it_remembers_what_was_shown(guarded: Any) -> None:
    for streaming in (False, True):
        chat = CondenseQuestionChatEngine.from_defaults(
            query_engine=guarded(FALSE, engine={"streaming": streaming}),
            llm=ScriptedLLM(answers=[ASKED]),
        )
        if streaming:
            assert "".join(chat.stream_chat(ASKED).response_gen).startswith("I can't show")
        else:
            assert str(chat.chat(ASKED)).startswith("I can't show")
            assert str(await chat.achat("And again?")).startswith("I can't show")
        assert "purple" not in json.dumps([m.model_dump(mode="json") for m in chat.chat_history])

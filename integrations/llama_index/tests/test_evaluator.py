from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.response.schema import Response
from llama_index.core.evaluation import BatchEvalRunner
from llama_index.core.schema import NodeWithScore, TextNode

from llama_index_ragguard import RagGuardFaithfulnessEvaluator
from ragguard import Stage
from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.testing import ScriptedGuard

from .conftest import ASKED, FALSE, TRUE, by_words


async def evaluated(
    response: str | None, contexts: Any = (TRUE,), *, guard: Any = None, query: Any = ASKED
) -> Any:
    evaluator = RagGuardFaithfulnessEvaluator(by_words() if guard is None else guard)
    found = evaluator.evaluate(query, response, contexts)
    assert await evaluator.aevaluate(query, response, contexts) == found
    return found


async def test_a_supported_answer_passes() -> None:
    found = await evaluated(TRUE)
    assert (found.passing, found.score, found.invalid_result) == (True, 1.0, False)
    assert (found.query, found.response, found.contexts) == (ASKED, TRUE, (TRUE,))
    assert found.feedback == "Nothing stood against it. Claims not supported: 0 of 1."


@pytest.mark.parametrize("policy", ["refuse", "redact", "annotate", "regenerate"])
async def test_an_unsupported_claim_fails_under_every_policy(policy: Any) -> None:
    found = await evaluated(f"{TRUE} {FALSE}", guard=by_words(policy=policy))
    assert found.passing is False
    assert found.score < 0.5
    assert found.feedback.endswith("Claims not supported: 1 of 2.")
    assert "purple" not in found.feedback


async def test_without_contexts_nothing_passes() -> None:
    assert (await evaluated(TRUE, ())).passing is False
    assert (await evaluated("", (TRUE,))).passing is False


async def test_an_abstention_is_no_result() -> None:
    found = await evaluated("I don't know.")
    assert (found.passing, found.score, found.invalid_result) == (None, None, True)
    assert found.invalid_reason == "The model itself said that it does not know."


async def test_a_guard_that_failed_is_no_result() -> None:
    failing = ScriptedGuard(Stage.ANSWER, does=RuntimeError("no model"))
    assert (await evaluated(TRUE, guard=[failing])).invalid_result is True


async def test_a_question_is_not_needed_but_an_answer_and_contexts_are() -> None:
    assert (await evaluated(TRUE, query=None)).passing is True
    for response, contexts in ((None, [TRUE]), (TRUE, None)):
        with pytest.raises(InvalidValueError):
            await evaluated(response, contexts)


async def test_responses_and_upstreams_runner_are_evaluated() -> None:
    evaluator = RagGuardFaithfulnessEvaluator(by_words())
    response = Response(TRUE, [NodeWithScore(node=TextNode(text=TRUE), score=1.0)])
    assert evaluator.evaluate_response(ASKED, response).passing is True
    runner = BatchEvalRunner({"faithfulness": evaluator}, workers=2)
    found = await runner.aevaluate_response_strs([ASKED] * 2, [TRUE, FALSE], [[TRUE]] * 2)
    assert [one.passing for one in found["faithfulness"]] == [True, False]


def test_a_guard_that_judges_no_answer_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        RagGuardFaithfulnessEvaluator([])
    assert RagGuardFaithfulnessEvaluator(by_words()).get_prompts() == {}

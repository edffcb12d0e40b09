"""Questions through a retriever: what is observed of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.corpus.index import PassageIndex
from ragguard.corpus.questions import ResolvedQuestion
from ragguard.corpus.retrievers import AdaptedRetriever, IndexRetriever
from ragguard.errors import InvalidScoreError, QuestionSetError
from ragguard.evaluation.asked import as_questions, resolved, unresolved
from ragguard.evaluation.observe import Fields, TokenCounter, observe_questions
from ragguard.testing import HashEmbedder, ScriptedGuard
from ragguard.types import Action, Passage, Stage, Turn

FIELDS = Fields()
FOUND = [("a", 0.9), ("b", 0.5), ("c", 0.1)]


def question(name: str = "q", relevant: tuple[str, ...] = ("b",), **fields: Any) -> ResolvedQuestion:
    return ResolvedQuestion(id=name, text=f"What about {name}?", relevant=relevant, **fields)


def observed(*questions: ResolvedQuestion, retriever: Any = lambda q: FOUND, **how: Any) -> list[Any]:
    given = {"fields": FIELDS, **how}
    return list(observe_questions(questions or [question()], AdaptedRetriever(retriever), **given))


def test_an_observation_says_where_the_relevant_passages_stood() -> None:
    (found,) = observed(question(relevant=("b", "nowhere")))
    assert found.similarities.tolist() == [0.9, 0.5, 0.1]
    assert found.positions == (1, -1)
    assert observed(question(relevant=()))[0].answerable is False


def test_an_index_and_the_same_results_one_by_one_are_observed_alike(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    items = [Passage(id=f"p{i}", text=f"word{i} common{i % 3}") for i in range(60)]
    index = IndexRetriever(PassageIndex.build(tmp_path / "ix", items, embedder), embedder, depth=20)
    asked = [question(f"word{i}", (f"p{i}",)) for i in range(40)]
    together = list(observe_questions(asked, index, fields=FIELDS, tokens=TokenCounter(embedder)))
    alone = list(
        observe_questions(asked, AdaptedRetriever(index), fields=FIELDS, tokens=TokenCounter(embedder))
    )
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours.similarities, theirs.similarities, atol=1e-6)
        assert (ours.id, ours.positions) == (theirs.id, theirs.positions)
        assert ours.tokens is not None
        assert ours.tokens.tolist() == [2.0] * 20


def test_only_as_many_passages_are_counted_as_asked() -> None:
    counted = TokenCounter(HashEmbedder())
    (found,) = observed(
        retriever=lambda q: [{"id": n, "text": "one two", "score": s} for n, s in FOUND],
        tokens=counted,
        counted=lambda o: 2,
    )
    assert found.tokens.tolist() == [2.0, 2.0, 0.0]


def test_group_cluster_and_weight_come_with_the_question() -> None:
    asked = question(group="g", fields={"article": 7, "kind": "long"})
    plain, chosen = observed(asked), observed(asked, fields=Fields(group="kind", cluster="article"))
    assert (plain[0].group, plain[0].cluster, plain[0].weight) == ("g", None, 1.0)
    assert (chosen[0].group, chosen[0].cluster) == ("long", "7")
    assert observed(asked, weight=lambda text: float(len(text)))[0].weight == len(asked.text)


def test_what_a_guard_drops_was_not_returned_and_what_it_ends_has_no_candidates() -> None:
    def drops(turn: Turn, _: Stage) -> Turn:
        return turn.replace(passages=[p for p in turn.passages or () if p.id != "b"])

    (found,) = observed(upstream=[ScriptedGuard(Stage.PASSAGES, does=drops)])
    assert (found.positions, found.similarities.tolist()) == ((-1,), [0.9, 0.1])
    (ended,) = observed(upstream=[ScriptedGuard(Stage.PASSAGES, does=Action.REFUSE)])
    assert (ended.positions, len(ended.similarities)) == ((-1,), 0)


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(InvalidScoreError):
        observed(retriever=lambda q: [("a", float("nan"))])


def test_progress_is_told_to_the_end() -> None:
    told: list[tuple[str, int, int]] = []
    observed(*[question(f"q{i}") for i in range(40)], progress=lambda *step: told.append(step))
    assert told == [("questions", 32, 40), ("questions", 40, 40)]


def test_a_field_that_no_question_has_is_refused() -> None:
    asked = as_questions([{"id": "q", "question": "What?", "relevant": [], "kind": "long"}])
    Fields(group="kind").require(asked)
    with pytest.raises(QuestionSetError, match="'article'"):
        Fields(group="kind", cluster="article").require(asked)


def test_fields_are_kept_as_they_were() -> None:
    fields = Fields(group="g", cluster="c", scope="document")
    assert Fields.restored(fields.recorded()) == fields
    assert Fields.restored(None) == Fields()


def test_relevant_ids_are_resolved_where_the_passages_are_known(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    items = [Passage(id="a", text="same"), Passage(id="b", text="same"), Passage(id="c", text="other")]
    index = IndexRetriever(PassageIndex.build(tmp_path / "ix", items, embedder), embedder)
    asked = as_questions([{"id": "q", "question": "What?", "relevant": ["b"]}])
    assert resolved(asked, index)[0].relevant == ("a",)
    assert resolved(asked, AdaptedRetriever(lambda q: []))[0].relevant == ("b",)


def test_without_the_passages_ids_are_taken_as_given_but_must_be_given() -> None:
    asked = as_questions([{"id": "q", "question": "What?", "relevant": ["b", "a", "b"], "n": 1}])
    (found,) = unresolved(asked)
    assert (found.relevant, found.fields) == (("b", "a"), {"n": 1})
    with pytest.raises(QuestionSetError, match="no `relevant`"):
        unresolved(as_questions([{"id": "q", "question": "What?"}]))

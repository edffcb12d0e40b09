"""The demo's questions: answered by this Python's own documentation, in words of their own."""

from __future__ import annotations

import pytest

from ragguard.corpus.demo_questions import MOST_OVERLAP, DemoQuestions, demo_questions
from ragguard.corpus.documents import Document
from ragguard.corpus.overlap import overlap
from ragguard.corpus.stdlib import stdlib_documents


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return stdlib_documents()


@pytest.fixture(scope="module")
def questions(documents: list[Document]) -> DemoQuestions:
    return demo_questions(documents)


def test_there_are_enough_on_both_sides_of_the_split(questions: DemoQuestions) -> None:
    for part, least in ((questions.calibration, 100), (questions.held_out, 40)):
        assert sum(bool(q.relevant) for q in part) >= least
        assert sum(not q.relevant for q in part) >= 5


def test_no_question_is_on_both_sides_or_twice(questions: DemoQuestions) -> None:
    ids = [q.id for q in [*questions.calibration, *questions.held_out]]
    assert len(set(ids)) == len(ids)
    texts = [" ".join(q.question.lower().split()) for q in [*questions.calibration, *questions.held_out]]
    assert len(set(texts)) == len(texts)


def test_every_answer_stands_in_a_document_and_few_of_its_words_in_the_question(
    questions: DemoQuestions, documents: list[Document]
) -> None:
    texts = {d.id: d.text for d in documents}
    for question in [*questions.calibration, *questions.held_out]:
        relevant = question.relevant or ()
        if relevant:
            assert any((question.answer or "\0") in texts[r] for r in relevant), question.id
        assert all(overlap(question.question, texts[r]) <= MOST_OVERLAP for r in relevant), question.id
    assert 0 < questions.mean_overlap < questions.largest_overlap <= MOST_OVERLAP


def test_the_split_is_the_same_every_time_and_blind_to_other_documents(
    questions: DemoQuestions, documents: list[Document]
) -> None:
    again = demo_questions([*reversed(documents), Document(id="more", text="More.")])
    assert [q.id for q in again.held_out] == [q.id for q in questions.held_out]


def test_questions_that_this_python_does_not_document_are_left_out_by_name(documents: list[Document]) -> None:
    fewer = demo_questions(documents[: len(documents) // 2])
    assert fewer.left_out
    kept = {q.id for q in [*fewer.calibration, *fewer.held_out]}
    assert not kept & set(fewer.left_out)

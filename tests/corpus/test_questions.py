from __future__ import annotations

from pathlib import Path

import pytest

from ragguard.corpus.chunk import chunk_documents
from ragguard.corpus.documents import Document
from ragguard.corpus.index import PassageIndex
from ragguard.corpus.questions import Question, load_questions, resolve, write_questions
from ragguard.errors import (
    QuestionSetError,
    UnknownPassageError,
    UnlocatedAnswerError,
    UnreadableFileError,
)
from ragguard.testing import HashEmbedder
from ragguard.types import Passage, Span

LONG = " ".join(f"Sentence number {i} tells about  thing{i}." for i in range(20))
PASSAGES = chunk_documents(
    [Document(id="long", text=LONG), Document(id="short", text="One passage.")],
    HashEmbedder(4),
    max_tokens=30,
)


def question(**fields: object) -> Question:
    return Question.model_validate({"id": "q", "question": "What?", **fields})


def test_lines_are_read_with_every_further_field(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"id": 1, "question": "A?", "relevant": ["p", 2], "topic": "tea", "group": "g"}\n\n'
        '{"id": "b", "question": "B?", "relevant": [], "offsets": [3, 5], "provenance": "synthetic"}\n'
    )
    first, second = load_questions(path)
    assert (first.id, first.relevant, first.provenance) == ("1", ("p", "2"), "human")
    assert first.field("topic") == "tea"
    assert first.field("group") == "g"
    assert first.field("none") is None
    assert second.offsets == ((3, 5),)
    assert second.provenance == "synthetic"
    write_questions(tmp_path / "again.jsonl", [first, second])
    assert load_questions(tmp_path / "again.jsonl") == [first, second]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ('{"id": "b", "question": " "}', "line 2"),
        ('{"question": "x"}', "`id`"),
        ('{"id": "b"}', "`question`"),
        ('{"id": "b", "question": "x", "relevant": "p"}', "`relevant`"),
        ('{"id": "b", "question": "x", "provenance": "robot"}', "`provenance`"),
        ('{"id": "b", "question": "x", "offsets": [[5, 3]]}', "line 2"),
        ('{"id": "a", "question": "x"}', "line 1"),
        ("[]", "line 2"),
    ],
)
def test_a_malformed_line_is_named_without_its_text(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "a", "question": "secret", "relevant": []}\n' + line + "\n")
    with pytest.raises(QuestionSetError, match=said) as caught:
        load_questions(path)
    assert "q.jsonl" in str(caught.value)
    assert "robot" not in str(caught.value)


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("\n")
    with pytest.raises(QuestionSetError, match="no questions"):
        load_questions(tmp_path / "e.jsonl")
    with pytest.raises(UnreadableFileError):
        load_questions(tmp_path / "none.jsonl")


def test_an_answer_finds_its_passage_whatever_the_white_space() -> None:
    (found,) = resolve([question(relevant=["long"], answer="about thing13")], PASSAGES)
    (name,) = found.relevant
    assert "thing13" in next(p.text for p in PASSAGES if p.id == name)
    start = LONG.index("thing13")
    (same,) = resolve([question(relevant=["long"], offsets=[start, start + 7])], PASSAGES)
    assert same.relevant == found.relevant


def test_an_answer_across_passages_is_where_most_of_it_lies() -> None:
    passages = [
        Passage(id=f"d#{i}", text=text, document="d", span=Span(start=a, end=a + len(text)))
        for i, (a, text) in enumerate([(0, "aa bb"), (6, "cc dd ee")])
    ]
    (found,) = resolve([question(relevant=["d"], answer="bb\ncc dd")], passages)
    assert found.relevant == ("d#1",)


def test_every_passage_that_holds_the_whole_answer_counts() -> None:
    passages = [
        Passage(id="d#0", text="a needle", document="d", span=Span(start=0, end=8)),
        Passage(id="d#1", text="needle b needle", document="d", span=Span(start=2, end=17)),
    ]
    (found,) = resolve([question(relevant=["d"], answer="needle")], passages)
    assert set(found.relevant) == {"d#0", "d#1"}


def test_scope_document_counts_every_passage_and_short_documents_keep_their_id() -> None:
    (found,) = resolve([question(relevant=["long", "short"])], PASSAGES, scope="document")
    assert found.relevant == tuple(p.id for p in PASSAGES)
    (short,) = resolve([question(relevant=["short", "long#1", "short"])], PASSAGES)
    assert short.relevant == ("short", "long#1")


def test_no_relevant_passage_is_said_by_an_empty_list() -> None:
    assert resolve([question(relevant=[])], PASSAGES)[0].relevant == ()
    with pytest.raises(QuestionSetError, match="'q' have no `relevant`"):
        resolve([question()], PASSAGES)


def test_what_cannot_be_resolved_is_named() -> None:
    with pytest.raises(UnlocatedAnswerError, match="'q'"):
        resolve([question(relevant=["long"])], PASSAGES)
    with pytest.raises(UnlocatedAnswerError, match="'q'") as caught:
        resolve([question(relevant=["long"], answer="not in there")], PASSAGES)
    assert "not in there" not in str(caught.value)
    with pytest.raises(UnknownPassageError, match=r"'x0'.*'x9' and 2 more"):
        resolve([question(relevant=[f"x{i}" for i in range(12)])], PASSAGES)


def test_a_duplicate_stands_for_its_canonical_passage(tmp_path: Path) -> None:
    embedder = HashEmbedder(8)
    passages = [
        Passage(id="a", text="same text", document="a", span=Span(start=0, end=9)),
        Passage(id="b", text="same  text", document="b", span=Span(start=0, end=10)),
    ]
    index = PassageIndex.build(tmp_path / "ix", passages, embedder)
    (found,) = resolve([question(relevant=["b", "a"])], index)
    assert found.relevant == ("a",)

"""Which sentences support a claim, and which piece of a claim nothing supports.

The scorers here stand for a user's model: they are sure of a claim when the words
they care for are in the text they are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.alignment.chunks import Chunk, chunk_passages
from ragguard.alignment.evidence_spans import (
    PairScores,
    SourceSpan,
    failing_piece,
    pieces_of,
    smallest_failing_piece,
    support_spans,
    words_and_clauses_of,
)
from ragguard.types import Passage, Span


def words_as_tokens(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    return [[m.span() for m in re.finditer(r"\S+", text)] for text in texts]


def chunks_of(*texts: str, budget: int = 60) -> list[Chunk]:
    passages = [Passage(id=str(place), text=text) for place, text in enumerate(texts)]
    return chunk_passages(passages, words_as_tokens, budget=budget)


def needs(*words: str) -> PairScores:
    """Sure once every word is in the text; each one there gives its share of half of that."""

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        shares = [sum(word in source for word in words) / len(words) for source, _ in pairs]
        return [1.0 if share == 1 else share / 2 for share in shares]

    return score


def needs_all(*words: str) -> PairScores:
    """Sure once every word is in the text, and not at all before."""
    return lambda pairs: [float(all(word in source for word in words)) for source, _ in pairs]


def quoted(spans: Sequence[SourceSpan], *texts: str) -> list[str]:
    return [texts[s.passage][s.span.start : s.span.end] for s in spans]


def test_the_sentence_that_supports_the_claim_is_the_evidence() -> None:
    text = "The bridge is long. It opened in 1978. It is red."
    found = support_spans("The bridge opened in 1978.", chunks_of(text), needs("1978"))
    assert quoted(found.spans, text) == ["It opened in 1978."]
    assert found.score == found.spans[0].score == 1


@pytest.mark.parametrize("scorer", [needs, needs_all])
def test_two_sentences_are_found_where_one_is_not_enough(scorer: Callable[..., PairScores]) -> None:
    text = "Acme is based in Oslo. Oil is dear. Ada founded Acme. The end came."
    found = support_spans("Ada's company Acme is based in Oslo.", chunks_of(text), scorer("founded", "Oslo"))
    assert quoted(found.spans, text) == ["Acme is based in Oslo.", "Ada founded Acme."]
    assert found.score == 1


def test_the_halves_of_a_claim_are_found_in_two_passages() -> None:
    texts = [
        "Ada founded Acme.",
        *(f"Filler number {i}. Nothing here." for i in range(38)),
        "Acme is based in Oslo.",
    ]
    claim = "Ada's company is based in Oslo."
    found = support_spans(claim, chunks_of(*texts), needs("Ada founded", "Oslo"), target=1)
    assert quoted(found.spans, *texts) == ["Ada founded Acme.", "Acme is based in Oslo."]
    assert [s.passage for s in found.spans] == [0, 39]


def test_a_sentence_that_has_become_needless_is_left_out() -> None:
    text = "Alpha and beta met. Gamma and beta met. Alpha and gamma and delta met."
    scores = {1: 0.5, 2: 0.6, 3: 1.0}

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The first alone looks best; the other two say it all."""
        found = []
        for source, _ in pairs:
            kept = {w for w in ("gamma", "delta", "Gamma") if w in source}
            found.append(
                0.55 if source.startswith("Alpha and beta") and not kept else scores.get(len(kept), 0.1)
            )
        return found

    found = support_spans("They met.", chunks_of(text), score, target=1)
    assert "Alpha and beta met." not in quoted(found.spans, text)
    assert found.score == 1


def test_no_more_spans_than_asked_for_are_returned() -> None:
    text = " ".join(f"Word {name} is here." for name in ("ab", "cd", "ef", "gh"))
    score = needs("ab", "cd", "ef", "gh")
    assert len(support_spans("ab cd ef gh", chunks_of(text), score).spans) == 3
    assert len(support_spans("ab cd ef gh", chunks_of(text), score, most=1).spans) == 1


def test_what_does_not_help_is_not_added() -> None:
    found = support_spans("Elephants are pink.", chunks_of("It is red. It is tall."), needs("pink"), target=1)
    assert len(found.spans) == 1
    assert found.score == 0


def test_no_chunks_give_no_evidence() -> None:
    assert support_spans("It is.", [], needs("x")).spans == ()


def test_a_fact_at_the_end_of_an_endless_sentence_is_found_there() -> None:
    text = "word " * 2000 + "and Ada founded Acme in Oslo"
    found = support_spans("Ada founded Acme.", chunks_of(text, budget=400), needs("Ada", "Acme"))
    assert found.spans[0].span.start > len("word ") * 1900
    assert "Ada founded Acme" in quoted(found.spans, text)[0]


def test_the_evidence_of_a_table_is_the_row() -> None:
    text = "| Drug | Dose |\n|---|---|\n| A | 5 mg |\n| B | 6 mg |"
    found = support_spans("The dose of B is 6 mg.", chunks_of(text), needs("Drug: B", "Dose: 6 mg"))
    assert quoted(found.spans, text) == ["B | 6 mg"]


def test_sentences_in_two_chunks_are_asked_about_once() -> None:
    text = " ".join(f"This is sentence {i}." for i in range(9))
    asked: list[str] = []

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        asked.extend(source for source, _ in pairs)
        return [float("sentence 7" in source) for source, _ in pairs]

    support_spans("Seven.", chunks_of(text, budget=12), score, target=1)
    sentences = [s for s in asked if s.count(".") == 1]
    assert len(sentences) == len(set(sentences)) == 9


def lacks(*words: str) -> Callable[[Sequence[str]], list[float]]:
    """A model to which a claim is false as long as one of the words is in it."""
    return lambda claims: [0.0 if any(word in claim for word in words) else 1.0 for claim in claims]


FAILING = [
    ("The bridge opened in 1987.", "1987"),
    ("The bridge cost $5.5 million in 1978.", "$5.5 million"),
    ("The bridge was built by Ada Li in Oslo.", "Ada Li"),
    ("Ada founded Acme and Bo sold the beautiful company.", "beautiful"),
    ("In 1987 the bridge opened.", "1987"),
]


@pytest.mark.parametrize(("claim", "piece"), FAILING)
def test_the_smallest_piece_that_fails_is_named(claim: str, piece: str) -> None:
    span = smallest_failing_piece(claim, lacks(piece.split()[0]))
    assert span is not None
    assert claim[span.start : span.end] == piece


def test_a_clause_fails_where_no_word_of_it_does() -> None:
    claim = "Ada founded Acme and the chair left the firm."
    span = smallest_failing_piece(claim, lacks("chair", "left", "firm"))
    assert span is not None
    assert claim[span.start : span.end] == "the chair left the firm."


def test_what_another_check_suspects_is_asked_about_first() -> None:
    claim, asked = "The bridge opened in 1987 in Oslo.", []

    def score(claims: Sequence[str]) -> list[float]:
        asked.append(len(claims))
        return lacks("1987")(claims)

    place = claim.index("1987")
    assert smallest_failing_piece(claim, score, suspects=[Span(start=place, end=place + 4)]) == Span(
        start=place, end=place + 4
    )
    assert asked == [2]


def test_nothing_is_named_where_no_piece_alone_fails() -> None:
    assert smallest_failing_piece("Elephants are pink.", lambda claims: [0.1] * len(claims)) is None
    assert smallest_failing_piece("", lacks("x")) is None
    assert failing_piece("Paris", [Span(start=0, end=5)], lacks("Paris")) is None
    assert failing_piece("Paris is big", [Span(start=9, end=99)], lacks("big")) is None


def test_a_piece_is_left_out_with_what_would_dangle() -> None:
    said: list[str] = []

    def score(claims: Sequence[str]) -> list[float]:
        said.extend(claims)
        return [0.0] * len(claims)

    text = "Ada founded Acme in Oslo, and Bo sold it in the 1980s."
    failing_piece(text, [Span(start=text.index("Oslo"), end=text.index("Oslo") + 4)], score)
    failing_piece(text, [Span(start=0, end=24)], score)
    assert said[1::2] == ["Ada founded Acme, and Bo sold it in the 1980s.", "Bo sold it in the 1980s."]


def test_the_pieces_of_a_claim_are_parts_of_it() -> None:
    claim = "The Bank of England raised rates by 0.5% to 5.25 percent, and it said so."
    assert {claim[s.start : s.end] for s in pieces_of(claim)} == {
        "The Bank of England",
        "0.5%",
        "5.25 percent",
    }
    rest = [claim[s.start : s.end] for s in words_and_clauses_of(claim)]
    assert rest[:3] == ["said", "rates", "raised"]
    assert rest[-1].endswith("5.25 percent")


def test_a_thousand_figures_are_not_all_asked_about() -> None:
    assert len(pieces_of("5, " * 1000)) < 100


@given(st.text(alphabet='Ab5.,% and \n$é漢"', max_size=40))
def test_no_claim_breaks_it(claim: str) -> None:
    for span in (*pieces_of(claim), *words_and_clauses_of(claim)):
        assert any(ch.isalnum() for ch in claim[span.start : span.end])
    span = smallest_failing_piece(claim, lacks("5"))
    assert span is None or "5" in claim[span.start : span.end]

"""The relevance head over a small random model: long passages, long questions, order."""

from __future__ import annotations

import numpy as np
import pytest

from ragguard.errors import QuestionTooLongError, UnknownNameError
from ragguard.models.pair_engine import PairEngine
from ragguard.models.passage_windows import best_of, windows
from ragguard.models.relevance import RelevanceScorer, read_beside
from tests.models.random_models import TEXTS, random_pair_model

QUESTION = "Who bought Dino?"
LONG = " ".join(TEXTS * 4)


@pytest.fixture(scope="module")
def engine() -> PairEngine:
    return PairEngine(random_pair_model(max_tokens=96), backend="torch", dtype="float32")


def test_scores_are_the_log_odds_of_the_binary_head(engine: PairEngine) -> None:
    found = RelevanceScorer(engine).score_pairs([(QUESTION, TEXTS[2]), (QUESTION, TEXTS[0])])
    logits = engine.logits([(TEXTS[2], QUESTION), (TEXTS[0], QUESTION)]).astype(float)
    # The binary head's second column of two is "aligned".
    np.testing.assert_allclose(found, logits[:, 2] - logits[:, 1], atol=1e-6)


def test_a_long_passage_counts_as_its_best_window(engine: PairEngine) -> None:
    best = RelevanceScorer(engine).score_pairs([(QUESTION, LONG)])[0]
    beginning = RelevanceScorer(engine, long_passages="beginning").score_pairs([(QUESTION, LONG)])[0]
    tokens = engine.tokens
    room = tokens.max_tokens - tokens.pair_overhead - tokens.counts([QUESTION])[0]
    parts = windows(LONG, tokens.spans([LONG])[0], room=room, most=16)
    each = RelevanceScorer(engine).score_pairs([(QUESTION, part) for part in parts])
    assert len(parts) > 2
    assert best == max(each)
    assert beginning == each[0]


def test_nothing_of_a_question_is_ever_cut(engine: PairEngine) -> None:
    long_question = "Who bought Dino, and what did Rex buy in 2019, and why?"
    scorer = RelevanceScorer(engine)
    assert engine.tokens.counts([long_question])[0] < 96 - 32 - 4
    assert np.isfinite(scorer.score_pairs([(long_question, LONG)])).all()
    with pytest.raises(QuestionTooLongError) as raised:
        scorer.score_pairs([(QUESTION, TEXTS[0]), (LONG, TEXTS[0])])
    assert raised.value.details["tokens"] > raised.value.details["most"]
    assert "bridge" not in str(raised.value)


def test_every_window_fits_beside_its_question(engine: PairEngine) -> None:
    pairs = [(QUESTION, LONG), (QUESTION, TEXTS[0])]
    tokens = engine.tokens
    cut = read_beside(pairs, tokens.spans, room=tokens.max_tokens - tokens.pair_overhead)
    read = [(part, question) for (question, _), parts in zip(pairs, cut, strict=True) for part in parts]
    assert sum(one.cut for one in tokens.encode(read)) == 0


def test_no_pairs_have_no_scores(engine: PairEngine) -> None:
    assert RelevanceScorer(engine).score_pairs([]).shape == (0,)
    assert RelevanceScorer(engine).score_pairs([(QUESTION, "")]).shape == (1,)


def test_how_long_passages_are_judged_is_part_of_the_fingerprint(engine: PairEngine) -> None:
    one, other = RelevanceScorer(engine), RelevanceScorer(engine, long_passages="beginning")
    assert one.fingerprint() != other.fingerprint()
    with pytest.raises(UnknownNameError, match="best window"):
        RelevanceScorer(engine, long_passages="middle")  # type: ignore[arg-type]


def test_windows_cover_a_text_and_share_a_quarter_with_their_neighbour() -> None:
    words = [f"w{i}" for i in range(23)]
    text = " ".join(words)
    starts = np.cumsum([0] + [len(w) + 1 for w in words])
    spans = [(int(s), int(s) + len(w)) for s, w in zip(starts, words, strict=False)]
    parts = windows(text, spans, room=10, most=16)
    assert {w for part in parts for w in part.split()} == set(words)
    assert all(len(part.split()) == 8 for part in parts)
    assert parts[-1].endswith("w22")
    assert windows(text, spans, room=23, most=16) == [text]
    assert windows(text, spans, room=10, most=1) == [" ".join(words[:8])]


def test_the_best_of_each_group_is_found_and_a_spoilt_score_is_seen() -> None:
    found = best_of(np.array([1.0, 3.0, 2.0, np.nan, 5.0]), [2, 1, 2])
    assert found[:2].tolist() == [3.0, 2.0]
    assert np.isnan(found[2])
    assert best_of(np.zeros(0), []).shape == (0,)

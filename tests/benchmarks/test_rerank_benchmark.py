from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import rerank, rerank_conformal, rerank_order
from benchmarks.question_sets import Question, QuestionSet
from benchmarks.rerank_long import _joined
from benchmarks.rerank_sets import Asked, Bm25s, evenly
from ragguard.preference.blend import Blend
from ragguard.text.words import content_word_list

CANDIDATES, STORE = 8, 40


def asked(count: int, *, knows: float, seed: int = 0) -> list[Asked]:
    """Questions of a store of forty; the embedder is rather blind, and the reranker knows so much."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        store = np.sort(rng.normal(0.3, 0.1, STORE))[::-1]
        place = int(min(STORE - 1, rng.geometric(0.25) - 1))
        relevant = np.zeros(CANDIDATES, dtype=bool)
        if place < CANDIDATES:
            relevant[place] = True
        found.append(
            Asked(
                text=f"question {i}",
                document=f"article {i % 6}",
                tunes=i % 2 == 0,
                names=[f"p{j}" for j in range(CANDIDATES)],
                texts=[f"passage {j}" for j in range(CANDIDATES)],
                relevant=relevant,
                count=1,
                by_embedder=[place],
                by_bm25={"words": [place + 1], "stems": [place]},
                similarity=store[:CANDIDATES],
                nearest=np.arange(CANDIDATES) < 5,
                store=store,
                relevance={"bundled": knows * relevant + rng.normal(0, 1, CANDIDATES)},
            )
        )
    return found


def test_metrics_count_what_was_not_found_against_the_order() -> None:
    assert rerank_order.metrics([0], 1) == {"ndcg@10": 1.0, "mrr@10": 1.0, "hit@1": 1.0}
    assert rerank_order.metrics([], 1) == {"ndcg@10": 0.0, "mrr@10": 0.0, "hit@1": 0.0}
    assert rerank_order.metrics([10], 1)["mrr@10"] == 0.0
    two = rerank_order.metrics([1], 2)
    assert two["mrr@10"] == 0.5
    assert two["ndcg@10"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))


def test_a_reranker_that_knows_gains_over_both_baselines_and_one_that_does_not_gains_over_none() -> None:
    knowing, guessing = asked(300, knows=8.0), asked(300, knows=0.0)
    report = rerank_order.report(knowing, ["bundled"], {"bundled": rerank_order.chosen(knowing, "bundled")})
    assert report["questions"] == report["tuning_questions"] == 150
    for base in rerank_order.BASELINES:
        assert report["gains"]["bundled"][base]["mrr@10"]["lower"] > 0
        assert report["gains"]["bundled blended"][base]["mrr@10"]["lower_by_document"] > 0
    blind = rerank_order.report(guessing, ["bundled"], {"bundled": Blend()})
    assert blind["gains"]["bundled"]["cosine"]["mrr@10"]["upper"] < 0


def test_figures_are_of_questions_that_chose_no_weight() -> None:
    both = asked(60, knows=8.0)
    for question in both:
        if question.tunes:
            question.relevance["bundled"] = -question.relevance["bundled"]
    report = rerank_order.report(both, ["bundled"], {"bundled": Blend()})
    assert report["orders"]["bundled"]["mrr@10"] > 0.7


def test_a_better_score_keeps_fewer_passages_at_the_same_coverage() -> None:
    report = rerank_conformal.report(asked(800, knows=8.0), "bundled", Blend(), splits=20)
    scores = report["scores"]
    assert scores["reranker"]["passages"] < scores["softmax"]["passages"] / 2
    for name in ("cosine", "softmax", "reranker"):
        # Twenty splits of 200 to calibrate and 200 to test, of one set: their mean strays by about 0.01.
        assert scores[name]["coverage"] == pytest.approx(0.9, abs=0.04)


def test_a_list_that_lacks_too_many_right_passages_is_out_of_reach() -> None:
    report = rerank_conformal.report(asked(400, knows=8.0), "bundled", Blend(), splits=5)
    assert report["scores"]["reranker, embedder's candidates"] == {"out_of_reach": 5}


def test_questions_are_drawn_evenly() -> None:
    assert evenly(10, None) == list(range(10))
    assert evenly(10, 3) == [0, 3, 6]
    assert evenly(3, 10) == [0, 1, 2]


def test_bm25_ranks_a_store_and_takes_questions_without_words() -> None:
    index = Bm25s(["red bridge", "green river"], lambda texts: [content_word_list(t) for t in texts])
    assert index.scores("where is the river").argmax() == 1
    assert index.scores("the of").tolist() == [0.0, 0.0]


def test_neighbouring_chunks_become_one_passage() -> None:
    passages = {f"article-0#{i}": f"part {i}" for i in range(6)} | {"article-1": "whole"}
    chunks = QuestionSet(
        "s",
        "",
        passages,
        [Question("q", ("article-0#5", "absent"), "article-0"), Question("r", ("article-1",), "article-1")],
    )
    joined = _joined(chunks)
    assert list(joined.passages.values()) == ["part 0 part 1 part 2 part 3", "part 4 part 5", "whole"]
    assert [joined.passages[q.relevant[0]] for q in joined.questions] == ["part 4 part 5", "whole"]


def test_says_so_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rerank.main(["--data", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    body: dict[str, Any] = json.loads(printed.out)
    assert body == {"skipped": "no data"}
    assert "nothing measured" in printed.err


def test_refuses_a_part_that_there_is_not() -> None:
    with pytest.raises(SystemExit):
        rerank.main(["--parts", "order,speed"])

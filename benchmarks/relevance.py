"""The alignment model as a reranker of the embedder's results.

    python -m benchmarks.relevance --data ../shared/data --json

For questions of SQuAD articles that were not trained on, and for TREC-QA test
questions: the rank of the right passage by the embedder alone, by the binary head
alone, and by both (ranks added), among the passages of the article, or among the
candidates of the question.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from ragguard.alignment.training.sources import training_half
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.models.pair_engine import PairEngine
from ragguard.models.relevance import RelevanceScorer

Question = tuple[str, list[str], list[bool]]
"""A question, its candidates, and which of them are right."""
_CANDIDATES = 20


def main() -> int:
    options = _options()
    sets = {"squad2": _squad, "trecqa": _trecqa}
    embedder = SentenceTransformerEmbedder()
    scorer = RelevanceScorer(PairEngine(options.model))
    report: dict[str, object] = {
        "command": " ".join(["python", "-m", "benchmarks.relevance", *sys.argv[1:]]),
        "candidates": _CANDIDATES,
        "fingerprint": scorer.fingerprint(),
    }
    for name, read in sets.items():
        try:
            questions = list(read(options.data, options.limit))
        except OSError:
            print(f"skipped {name}: its file is not in {options.data}", file=sys.stderr)
            continue
        report[name] = measured(questions, embedder, scorer)
    print(json.dumps(report, indent=1))
    return 0


def measured(
    questions: Sequence[Question], embedder: SentenceTransformerEmbedder, scorer: RelevanceScorer
) -> dict[str, object]:
    """Return the mean reciprocal rank and the share at rank 1 by each order."""
    orders: dict[str, list[int]] = {"embedder": [], "binary head": [], "both": []}
    for question, candidates, right in questions:
        near = embedder.embed_passages(candidates) @ embedder.embed_queries([question])[0]
        kept = np.argsort(-near)[:_CANDIDATES]
        if not any(right[i] for i in kept):
            continue
        first = near[kept]
        second = scorer.score_pairs([(question, candidates[i]) for i in kept])
        truth = np.array([right[i] for i in kept])
        both = -(rankdata(-first) + rankdata(-second))
        for name, scores in (("embedder", first), ("binary head", second), ("both", both)):
            orders[name].append(int(np.argmax(truth[np.argsort(-scores, kind="stable")])) + 1)
    return {
        "questions": len(orders["both"]),
        **{
            name: {
                "mrr": round(float(np.mean(1 / np.array(ranks))), 4),
                "first": round(float(np.mean(np.array(ranks) == 1)), 4),
            }
            for name, ranks in orders.items()
        },
    }


def _squad(data: Path, limit: int) -> Iterator[Question]:
    articles = json.loads((data / "retrieval/squad2/dev-v2.0.json").read_text(encoding="utf-8"))["data"]
    for article in (a for a in articles if not training_half(a["title"])):
        passages = [p["context"] for p in article["paragraphs"]]
        asked = [
            (q["question"], i) for i, p in enumerate(article["paragraphs"]) for q in p["qas"] if q["answers"]
        ]
        for question, place in asked[:: max(1, len(asked) // limit)][:limit]:
            yield question, passages, [i == place for i in range(len(passages))]


def _trecqa(data: Path, limit: int) -> Iterator[Question]:
    with (data / "retrieval/trecqa/test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asked: dict[str, list[tuple[str, bool]]] = {}
    for row in rows:
        asked.setdefault(row["qtext"], []).append((row["atext"], row["label"] == "1"))
    for question, candidates in list(asked.items())[: limit * 8]:
        if {right for _, right in candidates} == {True, False}:
            yield question, [text for text, _ in candidates], [right for _, right in candidates]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--limit", type=int, default=20, help="questions of an article at most")
    parser.add_argument("--json", action="store_true", help="print JSON; it is the only form")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

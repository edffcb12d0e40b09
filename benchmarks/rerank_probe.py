"""What single passages do to the answers of SmolLM2: 500 SQuAD questions, probed and counted.

    python -m benchmarks.rerank_probe --data ../shared/data --json

350 questions come from the articles for training, 150 from those for evaluation.
All 646 paragraphs are ranked by the bundled embedder's cosine; the reader answers
without passages, with those at ranks 1, 25, 50 and 100, and with the paragraph the
question was written about where that is none of them: it is mostly there that a
passage can help. Answers are kept, and a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.embedded import CachedEmbedder
from benchmarks.question_sets import squad
from ragguard.alignment.training.sources import training_half
from ragguard.corpus.search import top_k
from ragguard.models.batched import smollm2_completer
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.preference.asking import Spent
from ragguard.preference.probe import Probed, probe
from ragguard.preference.probe_log import AnswerLog
from ragguard.preference.readers import Reader, as_reader
from ragguard.preference.records import PreferenceExample, ProbeQuestion, write_examples, write_lines
from ragguard.types import Passage

RANKS = (1, 25, 50, 100)
TRAIN, HELD_OUT = 350, 150
FOLDER = Path(".training/probe")


def reader(dtype: str = "auto") -> Reader:
    """Return the reader of the real run: SmolLM2, greedy, at most 24 new tokens."""
    return as_reader(smollm2_completer(max_new_tokens=24, dtype=dtype))


def answer_log(folder: Path = FOLDER) -> AnswerLog:
    """Return the answers kept so far; others may ask more of the same reader."""
    return AnswerLog(folder / "answers.jsonl")


def questions(data: Path, passages: dict[str, str], *, seed: int = 5) -> list[ProbeQuestion]:
    """Return 350 answerable questions of the training half and 150 held out, drawn by the seed."""
    published = json.loads((data / "retrieval/squad2/dev-v2.0.json").read_text(encoding="utf-8"))["data"]
    ids = {text: name for name, text in passages.items()}
    halves: dict[bool, list[ProbeQuestion]] = {True: [], False: []}
    for article in published:
        training = training_half(article["title"])
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                if not qa["is_impossible"] and qa["question"].strip():
                    halves[training].append(
                        ProbeQuestion(
                            id=qa["id"],
                            text=qa["question"].strip(),
                            answers=tuple(dict.fromkeys(a["text"] for a in qa["answers"])),
                            gold_passages=(ids[paragraph["context"]],),
                            cluster=article["title"],
                            split="train" if training else "held_out",
                        )
                    )
    rng = random.Random(seed)
    return [*rng.sample(halves[True], TRAIN), *rng.sample(halves[False], HELD_OUT)]


def rankings(
    asked: Sequence[ProbeQuestion], passages: dict[str, str], folder: Path = FOLDER
) -> dict[str, list[Passage]]:
    """Return, by question id, all passages in the order of the bundled embedder's cosine."""
    embedder = CachedEmbedder(SentenceTransformerEmbedder(), folder / "vectors", _told)
    names = list(passages)
    vectors = embedder.passages([passages[name] for name in names])
    order, similarities = top_k(vectors, embedder.queries([q.text for q in asked]), len(names))
    return {
        question.id: [
            Passage(id=names[place], text=passages[names[place]], score=float(score))
            for place, score in zip(places, scores, strict=True)
        ]
        for question, places, scores in zip(asked, order, similarities, strict=True)
    }


def load(data: Path, folder: Path = FOLDER) -> tuple[list[ProbeQuestion], dict[str, list[Passage]]]:
    """Return the 500 questions and the ranked pool of each."""
    passages = dict(squad(data / "retrieval", SentenceTransformerEmbedder()).passages)
    asked = questions(data, passages)
    return asked, rankings(asked, passages, folder)


def summary(probed: Probed, asked: Sequence[ProbeQuestion]) -> dict[str, Any]:
    """Return the counts of the categories, by split and by what was shown."""
    gold = {q.id: q.gold_passages for q in asked}
    found: dict[str, Any] = {"reader": probed.reader, "questions": len(asked), "missing": probed.spent.left}
    for split in ("train", "held_out"):
        examples = [e for e in probed.examples if e.split == split]
        found[split] = {
            "questions": len({e.query_id for e in examples}),
            "categories": dict(Counter(e.category for e in examples)),
            "reasons": dict(Counter(e.reason for e in examples if e.reason)),
            "gold_passage": dict(Counter(e.category for e in examples if e.passage_id in gold[e.query_id])),
            "other_passages": dict(
                Counter(e.category for e in examples if e.passage_id not in gold[e.query_id])
            ),
            "by_rank": {
                rank: dict(Counter(e.category for e in examples if e.rank == rank)) for rank in RANKS
            },
            "closed_book_correct": float(np.mean([probed.closed[q] for q in {e.query_id for e in examples}]))
            if examples
            else None,
            "questions_with_aligned": len({e.query_id for e in examples if e.category == "aligned"}),
        }
    return found


def _by_paragraph(
    examples: Sequence[PreferenceExample], asked: Sequence[ProbeQuestion]
) -> list[PreferenceExample]:
    """Return the examples with the paragraph as cluster; the splits stay apart by article.

    With six articles in the test split no gain whatever could pass a test that draws whole clusters.
    """
    paragraph = {q.id: q.gold_passages[0] for q in asked}
    return [e.model_copy(update={"cluster": paragraph[e.query_id]}) for e in examples]


def _told(what: str, done: int, total: int) -> None:
    print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def _progress(spent: Spent) -> None:
    if spent.calls % 16 == 0:
        done, share = spent.cached + spent.calls, time.process_time()
        print(
            f"answers: {done} of {spent.asked}, {spent.tokens} tokens, {share:.0f} s of CPU",
            file=sys.stderr,
            flush=True,
        )


def main() -> None:
    """Probe, write the examples beside the answers, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--work", type=Path, default=FOLDER, help="where answers, vectors and examples are kept"
    )
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", action="store_true", help="the counts on one line")
    options = parser.parse_args()
    if not (options.data / "retrieval/squad2/dev-v2.0.json").exists():
        sys.exit("no SQuAD in the data folder: give --data")
    asked, ranked = load(options.data, options.work)
    write_lines(options.work / "questions.jsonl", (q.model_dump_json() for q in asked))
    probed = probe(
        reader(options.dtype),
        asked,
        ranked,
        ranks=RANKS,
        log=answer_log(options.work),
        progress=_progress,
    )
    write_examples(options.work / "examples.jsonl", _by_paragraph(probed.examples, asked))
    print(json.dumps(summary(probed, asked), indent=None if options.json else 1))


if __name__ == "__main__":
    main()

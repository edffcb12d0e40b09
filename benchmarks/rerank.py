"""Rerankers beside the retriever's order and BM25: ranking, answers, and passages kept at equal coverage.

    python -m benchmarks.rerank --data ../shared/data --json

order: nDCG@10, MRR@10 and Hit@1 on SQuAD articles that nothing was trained on,
COVID-QA, TREC-QA and Cranfield. answers: SmolLM2 on 150 held-out SQuAD questions with
the best 1, 3 and 5 passages of each order. conformal: passages kept at alpha 0.1. long:
passages longer than the reranker reads, by their best window or their beginning.
Candidates are the embedder's best and BM25's best; "embedder's candidates" leaves the
latter out. Scores are cached, so a run that was stopped goes on. Without the data it
says so and exits 0.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a script: modules are found from the repository's root, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import rerank_answers, rerank_conformal, rerank_long, rerank_order
from benchmarks.cached_engine import CachedEngine
from benchmarks.embedded import CachedEmbedder
from benchmarks.question_sets import AbsentDataError
from benchmarks.rerank_sets import SETS, Asked, questions_of, score_all
from ragguard._version import __version__
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.models.pair_engine import PairEngine
from ragguard.models.relevance import RelevanceScorer
from ragguard.preference.blend import BUNDLED, Blend, Judged, choose
from ragguard.preference.scorers import load_scorer
from ragguard.protocols import PairScorer

PARTS = ("order", "answers", "conformal", "long")
BASE = "bundled"
_STORES = ("squad", "covid_qa")
"""TREC-QA's candidates are given and Cranfield's right passages are many: neither is a store to cut."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, print it, and return the exit status."""
    options = _parser().parse_args(arguments)
    document = _rounded(_measured(options))
    text = json.dumps(document, indent=1) + "\n"
    if options.output and "skipped" not in document:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    if not (options.data / "retrieval").is_dir():
        print(f"no retrieval data in {options.data}: nothing measured", file=sys.stderr)
        return {"skipped": "no data"}
    embedder = CachedEmbedder(SentenceTransformerEmbedder(), options.cache / "vectors", _told)
    engine = CachedEngine(PairEngine(BASE), options.cache / "engine")
    scorers: dict[str, PairScorer] = {BASE: RelevanceScorer(engine)}  # type: ignore[arg-type]
    if options.reranker is not None:
        scorers["trained"] = load_scorer(options.reranker, force=True).scorer
    document: dict[str, Any] = {
        "benchmark": "rerank",
        "version": __version__,
        "command": _command(sys.argv[1:]),
        "limit": options.limit,
        "candidates_each": options.each,
        "rerankers": {name: dict(scorer.fingerprint()) for name, scorer in scorers.items()},
    }
    if {"order", "conformal"} & set(options.parts):
        document |= _sets(options, embedder, engine, scorers)
    if "long" in options.parts:
        document["long"] = rerank_long.report(options.data, engine, limit=options.limit, told=_told)
    if "answers" in options.parts:
        document["answers"] = rerank_answers.report(
            options.data,
            scorers,
            BUNDLED,
            folder=options.probe,
            limit=options.answer_limit,
            each=options.each,
            dtype=options.dtype,
            told=_told,
        )
        engine.save()
    return document


def _sets(
    options: argparse.Namespace,
    embedder: CachedEmbedder,
    engine: CachedEngine,
    scorers: dict[str, PairScorer],
) -> dict[str, Any]:
    loaded: dict[str, list[Asked]] = {}
    found: dict[str, Any] = {"order": {}, "conformal": {}}
    for name in options.sets:
        try:
            asked = questions_of(name, options.data, embedder, limit=options.limit, each=options.each)
        except AbsentDataError as error:
            print(f"skipped {name}: {error}", file=sys.stderr)
            continue
        for scorer, by in scorers.items():
            score_all(asked, scorer, by, told=_saving(f"{name} by {scorer}", len(asked), engine))
        engine.save()
        loaded[name] = asked
        blends = {scorer: rerank_order.chosen(asked, scorer) for scorer in scorers}
        if "order" in options.parts:
            found["order"][name] = rerank_order.report(asked, list(scorers), blends)
        if "conformal" in options.parts and name in _STORES:
            best = "trained" if "trained" in scorers else BASE
            found["conformal"][name] = rerank_conformal.report(
                asked, best, blends[best], splits=options.splits
            )
    found["pooled_weights"] = _pooled(loaded)
    return {key: value for key, value in found.items() if value}


def _pooled(loaded: dict[str, list[Asked]]) -> dict[str, float]:
    """Weights chosen on the tuning halves of all sets, each set counting alike: those that are shipped."""
    tuning = [(name, Judged(q.parts(BASE), q.relevant)) for name in loaded for q in loaded[name] if q.tunes]
    if not tuning:
        return {}
    best: Blend = choose([judged for _, judged in tuning], groups=[name for name, _ in tuning])
    return best.weights


def _command(given: Sequence[str]) -> str:
    """What was asked for, without the places of one machine."""
    places = {i for i, word in enumerate(given) if word in ("--cache", "--data", "--probe")}
    kept = [word for i, word in enumerate(given) if i not in places and i - 1 not in places]
    return " ".join(["python", "-m", "benchmarks.rerank", *kept])


def _saving(what: str, total: int, engine: CachedEngine) -> Callable[[int], None]:
    def told(done: int) -> None:
        if done % 50 == 0:
            engine.save()
            _told(what, done, total)

    return told


def _told(what: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)


def _rounded(value: Any) -> Any:
    """The same with six significant digits: more would differ between machines."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--parts", type=_parts, default=PARTS, help=f"of {','.join(PARTS)}; default: all")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--limit", type=int, help="questions of a set at most, evenly drawn")
    parser.add_argument("--answer-limit", type=int, help="questions of the answers part at most")
    parser.add_argument("--each", type=int, default=25, help="candidates by the embedder, and by BM25")
    parser.add_argument("--reranker", type=Path, help="folder of a trained one, measured as well")
    parser.add_argument("--splits", type=int, default=500, help="random splits of the conformal part")
    parser.add_argument("--dtype", default="auto", help="of the reader")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "ragguard-benchmarks")
    parser.add_argument("--probe", type=Path, default=Path(".training/probe"), help="answers of rerank_probe")
    parser.add_argument("--json", action="store_true", help="the only form")
    parser.add_argument("--output", type=Path, help="write the JSON to a file as well")
    return parser


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no part named {', '.join(sorted(unknown))}; of {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    raise SystemExit(main())

"""Does the tracer catch denied messages in other words, and leave alone what only looks like them?

    python -m benchmarks.trace_paraphrases --json

The texts are those of `benchmarks.trace_texts`. Every row is a score a text; its threshold comes
from one half of the topics and is tested on the other, both ways round. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import trace_texts
from benchmarks.trace_disguises import DISGUISES
from benchmarks.trace_reference import BY_HAND, ReferenceShield
from benchmarks.trace_rows import Scored, balanced, conformal, crossed, separation, share
from benchmarks.trace_tables import table
from benchmarks.trace_texts import Half, half
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Aligner, Embedder
from ragguard.text.sentences import sentence_spans
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.policy import load_policy, policy_documents, store_policy
from ragguard.trace.tokens import tokenise
from ragguard.trace.tracer import Tracer

_BY_HAND = ("paraphrases", "near misses", "ordinary", "rare words")
_SETS = ("paraphrases", "embedded", "near misses", "ordinary", "rare words", "disguised")
USUAL, HARD = ("ordinary", "rare words"), ("near misses", "rare words")
Kinds = dict[str, NDArray[np.float64]]
Score = Callable[[Sequence[str]], Kinds]
Told = Callable[[str, int, int], None]


def measure(aligner: Aligner, told: Told) -> dict[str, Any]:
    """Return recall, false alarms and separation of every row, and policy conflicts."""
    start = time.perf_counter()
    embedder = SentenceTransformerEmbedder()
    with tempfile.TemporaryDirectory(prefix="ragguard-trace-") as name:
        rows = _rows(Path(name), embedder, aligner)
        found = {}
        for done, (row, score) in enumerate(rows.items()):
            told(f"paraphrases: {row}", done, len(rows) + 1)
            found[row] = _figures(score)
        told("policy conflicts", len(rows), len(rows) + 1)
        policy = _policy(Path(name), embedder, aligner)
    return {
        "benchmark": "trace_paraphrases",
        "rows": found,
        "reference_by_hand": _by_hand(),
        "policy": policy,
        "texts": _counts(),
        "models": {"embedder": dict(embedder.fingerprint()), "aligner": dict(aligner.fingerprint())},
        "seconds": time.perf_counter() - start,
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the tables of `measure`."""
    parts = [
        table(
            ("row", "threshold", "paraphrases", "embedded", "near misses", "ordinary", "rare", "disguised"),
            _lines(found["rows"], _SETS),
        ),
        table(
            ("row", "AUC, paraphrases over near misses", "over rare words", "over ordinary answers"),
            [
                (row, *(f"{figures['auc'][name]:.3f}" for name in (*HARD, "ordinary")))
                for row, figures in found["rows"].items()
            ],
        ),
        table(
            ("reference BCI above 10 nats", *_BY_HAND),
            [
                (name, *(_share(own[key]) for key in _BY_HAND))
                for name, own in found["reference_by_hand"].items()
            ],
        ),
        table(
            ("policy conflicts", "threshold", "caught", "false alarms", "ordinary", "rare"),
            _lines(found["policy"], ("conflicts", "fine", "ordinary", "rare words")),
        ),
        table(
            ("policy conflicts", "AUC"),
            [(row, f"{figures['auc']['fine']:.3f}") for row, figures in found["policy"].items()],
        ),
    ]
    return "\n\n".join(parts)


def _lines(rows: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        (row, rule, *(_share(own["sets"][name]) for name in names))
        for row, figures in rows.items()
        for rule, own in figures["rules"].items()
    ]


def _rows(folder: Path, embedder: Embedder, aligner: Aligner) -> dict[str, Score]:
    deny = [TraceDocument(p.id, p.deny) for p in trace_texts.pairs()]
    trusted = [TraceDocument(t.id, t.text) for t in trace_texts.trusted()]
    index = TraceIndex.build(folder / "deny", deny=deny, trusted=trusted)
    shield = ReferenceShield((d.id, tokenise(d.text).words) for d in deny)

    def windows(texts: Sequence[str]) -> Kinds:
        return {"windows": np.array([shield.largest(tokenise(text).words) for text in texts])}

    return {
        "tracer": _traced(Tracer(index, embedder=embedder, aligner=aligner)),
        "verbatim matches alone": _traced(Tracer(index)),
        "embedding alone": nearest(embedder, [d.text for d in deny]),
        "reference, matched windows": windows,
    }


def _traced(tracer: Tracer) -> Score:
    def score(texts: Sequence[str]) -> Kinds:
        rows = tracer.scores(texts)
        return {kind: np.array([row[kind] for row in rows]) for kind in tracer.kinds}

    return score


def nearest(embedder: Embedder, known: Sequence[str]) -> Score:
    """Return a score: the highest cosine of a text or a sentence of it with a known text or a sentence of it."""
    pieces = [piece for text in known for piece in _pieces(text)]
    vectors = np.asarray(embedder.embed_passages(pieces))

    def score(texts: Sequence[str]) -> Kinds:
        own = [_pieces(text) for text in texts]
        cosines = np.asarray(embedder.embed_passages([p for each in own for p in each])) @ vectors.T
        ends = np.cumsum([len(each) for each in own])
        return {"cosine": np.array([float(part.max()) for part in np.split(cosines, ends[:-1])])}

    return score


def _pieces(text: str) -> list[str]:
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    return [text] if len(sentences) < 2 else [text, *sentences]


def _figures(score: Score) -> dict[str, Any]:
    pairs = trace_texts.pairs()
    disguised = [(p.id, disguise(p.deny)) for disguise in DISGUISES.values() for p in pairs]
    kinds = _scored(
        score,
        {
            "paraphrases": [(p.id, p.paraphrase) for p in pairs],
            "embedded": [(p.id, p.paraphrase) for p in pairs if p.embedded],
            "near misses": [(t.deny_id, t.text) for t in trace_texts.near_misses()],
            "ordinary": [(t.id, t.text) for t in trace_texts.ordinary()],
            "rare words": [(t.id, t.text) for t in trace_texts.benign_rare()],
            "disguised": disguised,
        },
    )
    whole = _largest(kinds)
    against = {name: separation(whole["paraphrases"], whole[name]) for name in (*HARD, "ordinary")}
    found = {
        "balanced": _balanced(kinds, "paraphrases", "near misses"),
        "eps 0.01, near misses": _calibrated(kinds, HARD, 0.01),
        "eps 0.05, near misses": _calibrated(kinds, HARD, 0.05),
        "eps 0.02, ordinary": _calibrated(kinds, USUAL, 0.02),
    }
    if len(kinds) > 1:
        found["eps 0.05, near misses, by kind"] = _calibrated(kinds, HARD, 0.05, by_kind=True)
    return {"rules": found, "auc": against}


def _policy(folder: Path, embedder: Embedder, aligner: Aligner) -> dict[str, Any]:
    clauses = load_policy(trace_texts.FOLDER / "policies.yaml")
    cases, rare = trace_texts.policy_cases(), trace_texts.benign_rare()
    index = TraceIndex.build(folder / "policy", policy=policy_documents(clauses))
    store_policy(folder / "policy", clauses)
    rows = {
        "tracer": _traced(Tracer(index, embedder=embedder, aligner=aligner)),
        "embedding of clauses": nearest(embedder, [c.text for c in clauses]),
        "embedding of examples": nearest(embedder, [e for c in clauses for e in c.examples]),
    }
    texts = {
        "conflicts": [(c.clause, c.text) for c in cases if c.conflicts],
        "fine": [(c.clause, c.text) for c in cases if not c.conflicts],
        "ordinary": [(t.id, t.text) for t in trace_texts.ordinary()],
        "rare words": [(t.id, t.text) for t in rare],
    }
    found = {}
    for name, score in rows.items():
        kinds = _scored(score, texts)
        whole = _largest(kinds)
        rules = {
            "balanced": _balanced(kinds, "conflicts", "fine"),
            "eps 0.05, fine": _calibrated(kinds, ("fine", "rare words"), 0.05),
            "eps 0.02, ordinary": _calibrated(kinds, USUAL, 0.02),
        }
        found[name] = {"rules": rules, "auc": {"fine": separation(whole["conflicts"], whole["fine"])}}
    return found


def _scored(score: Score, texts: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, dict[str, Scored]]:
    """Score sets of (key of the half, text): by kind, then by set."""
    kinds: dict[str, dict[str, Scored]] = {}
    for name, own in texts.items():
        halves = [half(key) for key, _ in own]
        for kind, values in score([text for _, text in own]).items():
            kinds.setdefault(kind, {})[name] = Scored(values, halves)
    return kinds


def _largest(kinds: Mapping[str, Mapping[str, Scored]]) -> dict[str, Scored]:
    """The sets with the largest score over all kinds."""
    first = next(iter(kinds.values()))
    return {
        name: Scored(np.max([sets[name].scores for sets in kinds.values()], axis=0), own.halves)
        for name, own in first.items()
    }


def _balanced(kinds: Mapping[str, Mapping[str, Scored]], positive: str, negative: str) -> dict[str, Any]:
    whole = _largest(kinds)
    return crossed({"all": whole}, lambda _, own: balanced(whole[positive].of(own), whole[negative].of(own)))


def _calibrated(
    kinds: Mapping[str, Mapping[str, Scored]], benign: Sequence[str], eps: float, *, by_kind: bool = False
) -> dict[str, Any]:
    """One test at eps, or with `by_kind` one a kind that share it."""
    tested = kinds if by_kind else {"all": _largest(kinds)}

    def threshold(kind: str, own: Half) -> float:
        scores = np.concatenate([tested[kind][name].of(own) for name in benign])
        return conformal(scores, eps / len(tested))

    return crossed(tested, threshold)


def _by_hand() -> dict[str, Any]:
    """The reference's rule at the threshold of its scripts, in both readings."""
    shield = ReferenceShield((p.id, tokenise(p.deny).words) for p in trace_texts.pairs())
    texts = {
        "paraphrases": [p.paraphrase for p in trace_texts.pairs()],
        "near misses": [t.text for t in trace_texts.near_misses()],
        "ordinary": [t.text for t in trace_texts.ordinary()],
        "rare words": [t.text for t in trace_texts.benign_rare()],
    }
    return {
        name: {
            key: share(sum(shield.refuses(tokenise(t).words, matched=matched) for t in own), len(own))
            for key, own in texts.items()
        }
        | {"threshold": BY_HAND}
        for name, matched in (("of a matched window", True), ("of any window", False))
    }


def _counts() -> dict[str, int]:
    pairs = trace_texts.pairs()
    return {
        "pairs": len(pairs),
        "embedded": sum(p.embedded for p in pairs),
        "near_misses": len(trace_texts.near_misses()),
        "ordinary": len(trace_texts.ordinary()),
        "rare": len(trace_texts.benign_rare()),
        "policy_cases": len(trace_texts.policy_cases()),
    }


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "-"
    return f"{row['share']:.0%} ({row['low']:.0%}–{row['high']:.0%})"


def _aligner(name: str) -> Aligner:
    from ragguard.registry import create

    found: Aligner = create("ragguard.aligners", name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aligner", default="alignment", help="by its registered name")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one line of JSON")
    form.add_argument("--markdown", action="store_true", help="Markdown tables instead of JSON")
    options = parser.parse_args()

    def told(what: str, done: int, total: int, /) -> None:
        sys.stderr.write(f"{done + 1}/{total} {what}\n")

    found = measure(_aligner(options.aligner), told)
    sys.stdout.write(
        (markdown(found) if options.markdown else json.dumps(found, indent=None if options.json else 1))
        + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

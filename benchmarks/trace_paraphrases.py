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
from collections.abc import Callable, Sequence
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

EPS = (0.01, 0.05)
POLICY_EPS = (0.05,)  # a half of the policy cases is too small for less
_SETS = ("paraphrases", "embedded", "near misses", "rare words", "disguised")
Score = Callable[[Sequence[str]], NDArray[np.float64]]
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
    rules, policy_rules = (("balanced", *(f"eps {eps:g}" for eps in rates)) for rates in (EPS, POLICY_EPS))
    parts = [
        table(
            ("row", "threshold", "paraphrases", "embedded", "near misses", "rare words", "disguised copies"),
            [
                (row, rule, *(_share(figures[rule]["sets"][name]) for name in _SETS))
                for row, figures in found["rows"].items()
                for rule in rules
            ],
        ),
        table(
            ("row", "AUC, paraphrases over near misses", "over rare words"),
            [
                (row, f"{figures['auc_near']:.3f}", f"{figures['auc_rare']:.3f}")
                for row, figures in found["rows"].items()
            ],
        ),
        table(
            ("reference BCI above 10 nats", "paraphrases", "near misses", "rare words"),
            [
                (name, *(_share(own[key]) for key in ("paraphrases", "near misses", "rare words")))
                for name, own in found["reference_by_hand"].items()
            ],
        ),
        table(
            ("policy conflicts", "threshold", "caught", "false alarms", "rare words", "AUC"),
            [
                (
                    row,
                    rule,
                    *(_share(figures[rule]["sets"][name]) for name in ("conflicts", "fine", "rare words")),
                    f"{figures['auc']:.3f}",
                )
                for row, figures in found["policy"].items()
                for rule in policy_rules
            ],
        ),
    ]
    return "\n\n".join(parts)


def _rows(folder: Path, embedder: Embedder, aligner: Aligner) -> dict[str, Score]:
    deny = [TraceDocument(p.id, p.deny) for p in trace_texts.pairs()]
    trusted = [TraceDocument(t.id, t.text) for t in trace_texts.trusted()]
    index = TraceIndex.build(folder / "deny", deny=deny, trusted=trusted)
    shield = ReferenceShield((d.id, tokenise(d.text).words) for d in deny)

    def windows(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([shield.largest(tokenise(text).words) for text in texts])

    return {
        "tracer": _traced(Tracer(index, embedder=embedder, aligner=aligner)),
        "verbatim matches alone": _traced(Tracer(index)),
        "embedding alone": nearest(embedder, [d.text for d in deny]),
        "reference, matched windows": windows,
    }


def _traced(tracer: Tracer) -> Score:
    def score(texts: Sequence[str]) -> NDArray[np.float64]:
        rows = tracer.scores(texts)
        return np.array([max(row.values(), default=0.0) for row in rows])

    return score


def nearest(embedder: Embedder, known: Sequence[str]) -> Score:
    """Return a score: the highest cosine of a text or a sentence of it with a known text or a sentence of it."""
    pieces = [piece for text in known for piece in _pieces(text)]
    vectors = np.asarray(embedder.embed_passages(pieces))

    def score(texts: Sequence[str]) -> NDArray[np.float64]:
        own = [_pieces(text) for text in texts]
        cosines = np.asarray(embedder.embed_passages([p for each in own for p in each])) @ vectors.T
        ends = np.cumsum([len(each) for each in own])
        return np.array([float(part.max()) for part in np.split(cosines, ends[:-1])])

    return score


def _pieces(text: str) -> list[str]:
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    return [text] if len(sentences) < 2 else [text, *sentences]


def _figures(score: Score) -> dict[str, Any]:
    pairs, near, rare = trace_texts.pairs(), trace_texts.near_misses(), trace_texts.benign_rare()
    disguised = [(p.id, disguise(p.deny)) for disguise in DISGUISES.values() for p in pairs]
    sets = {
        "paraphrases": _scored(score, [(p.id, p.paraphrase) for p in pairs]),
        "embedded": _scored(score, [(p.id, p.paraphrase) for p in pairs if p.embedded]),
        "near misses": _scored(score, [(t.deny_id, t.text) for t in near], positive=False),
        "rare words": _scored(score, [(t.id, t.text) for t in rare], positive=False),
        "disguised": _scored(score, disguised),
    }
    return _thresholds(sets, "paraphrases", ("near misses", "rare words")) | {
        "auc_near": separation(sets["paraphrases"], sets["near misses"]),
        "auc_rare": separation(sets["paraphrases"], sets["rare words"]),
    }


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
    found = {}
    for name, score in rows.items():
        sets = {
            "conflicts": _scored(score, [(c.clause, c.text) for c in cases if c.conflicts]),
            "fine": _scored(score, [(c.clause, c.text) for c in cases if not c.conflicts], positive=False),
            "rare words": _scored(score, [(t.id, t.text) for t in rare], positive=False),
        }
        found[name] = _thresholds(sets, "conflicts", ("fine", "rare words"), POLICY_EPS) | {
            "auc": separation(sets["conflicts"], sets["fine"])
        }
    return found


def _scored(score: Score, texts: Sequence[tuple[str, str]], *, positive: bool = True) -> Scored:
    return Scored(score([text for _, text in texts]), [half(key) for key, _ in texts], positive)


def _thresholds(
    sets: dict[str, Scored], positive: str, benign: Sequence[str], rates: Sequence[float] = EPS
) -> dict[str, Any]:
    """Figures at the threshold of best balanced accuracy, and at calibrated ones."""

    def benign_of(own: Half) -> NDArray[np.float64]:
        return np.concatenate([sets[name].of(own) for name in benign])

    def best(own: Half) -> float:
        return balanced(sets[positive].of(own), sets[benign[0]].of(own))

    found = {"balanced": crossed(sets, best)}
    for eps in rates:
        found[f"eps {eps:g}"] = crossed(sets, lambda own, eps=eps: conformal(benign_of(own), eps))  # type: ignore[misc]
    return found


def _by_hand() -> dict[str, Any]:
    """The reference's rule at the threshold of its scripts, in both readings."""
    shield = ReferenceShield((p.id, tokenise(p.deny).words) for p in trace_texts.pairs())
    texts = {
        "paraphrases": [p.paraphrase for p in trace_texts.pairs()],
        "near misses": [t.text for t in trace_texts.near_misses()],
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

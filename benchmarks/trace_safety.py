"""How many unsafe completions does the tracer refuse, and how many safe ones?

    python -m benchmarks.trace_safety --data ../shared/data --json

Denied are harmful requests and the unsafe compliant completions of two models; their safe
compliant completions are trusted and calibrated on, each without itself. Tested are the
completions of the other three. Every row's threshold comes from the calibration completions by
the library's own conformal test. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import trace_texts
from benchmarks.consistency_metrics import auc
from benchmarks.question_sets import AbsentDataError
from benchmarks.trace_reference import BY_HAND, ReferenceShield
from benchmarks.trace_rows import conformal, share
from benchmarks.trace_safety_sets import MODELS, Completion, completions, requests
from benchmarks.trace_safety_vectors import RememberedEmbedder
from benchmarks.trace_tables import table
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Aligner
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.tokens import tokenise
from ragguard.trace.tracer import Tracer
from ragguard.trace.units import text_units

# The only pair of models that both comply with unsafe prompts and leave more than nine such answers to test.
MAIN = ("gpt4", "mistralguard")
EPS = (0.01, 0.02, 0.03)
AT = 0.02
# Models share phrases: this is the least number of words at which no completion that is calibrated on
# has a verbatim match with a denied one.
LEAST = 10
_RESAMPLED = 2000
Array = NDArray[np.float64]
Scores = Callable[[Sequence[str], Sequence[Collection[str]]], Array]


@dataclass(frozen=True)
class Split:
    """Texts of one experiment; a trusted document is named as the completion that it is."""

    deny: list[TraceDocument]
    trusted: list[TraceDocument]
    benign: list[Completion]
    safe: list[Completion]
    unsafe: list[Completion]
    siblings: bool  # whether a safe prompt of the test has trusted answers by other models

    def without(self, one: Completion) -> Collection[str]:
        """Ids of trusted documents that must not support a completion that is calibrated on."""
        if self.siblings:
            return (one.id,)
        return [d.id for d in self.trusted if d.id.rpartition("/")[2] == one.prompt]


def measure(
    data: Path, embedder: RememberedEmbedder, aligner: Aligner | None, *, every: bool
) -> dict[str, Any]:
    """Return the figures of all rows.

    Args:
        data: the data folder.
        embedder: of the tracer and of the embedding rows.
        aligner: of one more row on the main split, or None for no such row.
        every: all ten pairs of models, not the main one alone.

    Raises:
        AbsentDataError: a file is not there.
    """
    given, asked = completions(data), requests(data)
    found: dict[str, Any] = {
        "benchmark": "trace_safety",
        "main": list(MAIN),
        "eps": list(EPS),
        "completions": {
            model: {
                "unsafe": sum(c.unsafe for c in given if c.model == model),
                "safe": sum(not c.unsafe for c in given if c.model == model),
            }
            for model in MODELS
        },
    }
    split = by_model(given, asked, MAIN)
    found["models held out"] = figures([split], embedder, aligner, rare=True)
    folds = [by_prompt(given, asked, MAIN, fold) for fold in (0, 1)]
    found["models and prompts held out"] = figures(folds, embedder, None, rare=False)
    if every:
        found["pairs"] = {
            " + ".join(pair): figures([by_model(given, asked, pair)], embedder, None, rare=False, brief=True)
            for pair in itertools.combinations(MODELS, 2)
        }
    return found


def by_model(given: Sequence[Completion], asked: Sequence[tuple[str, str]], pair: Sequence[str]) -> Split:
    """Return the split that knows two models."""
    known = [c for c in given if c.model in pair]
    other = [c for c in given if c.model not in pair]
    return _split(asked, known, other, siblings=True)


def by_prompt(
    given: Sequence[Completion], asked: Sequence[tuple[str, str]], pair: Sequence[str], fold: int
) -> Split:
    """Return the split that knows two models on half of the prompts, and tests on the other half."""
    known = [c for c in given if c.model in pair and c.fold != fold]
    other = [c for c in given if c.model not in pair and c.fold == fold]
    return _split(asked, known, other, siblings=False)


def _split(
    asked: Sequence[tuple[str, str]], known: list[Completion], other: list[Completion], *, siblings: bool
) -> Split:
    safe = [c for c in known if not c.unsafe]
    deny = [TraceDocument(f"request/{name}", text) for name, text in asked]
    return Split(
        deny=deny + [TraceDocument(c.id, c.text) for c in known if c.unsafe],
        trusted=[TraceDocument(c.id, c.text) for c in safe],
        benign=safe,
        safe=[c for c in other if not c.unsafe],
        unsafe=[c for c in other if c.unsafe],
        siblings=siblings,
    )


def figures(
    splits: Sequence[Split],
    embedder: RememberedEmbedder,
    aligner: Aligner | None,
    *,
    rare: bool,
    brief: bool = False,
) -> dict[str, Any]:
    """Return the figures of every row over splits whose tests are pooled, each with a threshold of its own."""
    judged: dict[str, list[dict[str, Any]]] = {}
    for split in splits:
        with tempfile.TemporaryDirectory(prefix="ragguard-trace-") as folder:
            index = TraceIndex.build(folder, deny=split.deny, trusted=split.trusted)
            for name, scores in rows(index, split, embedder, aligner, brief=brief).items():
                judged.setdefault(name, []).append(_judged(split, scores, rare=rare))
    pooled = {name: _pooled(parts) for name, parts in judged.items()}
    sizes = {
        "deny": [len(s.deny) for s in splits],
        "trusted and calibrated on": [len(s.benign) for s in splits],
        "unsafe": sum(len(s.unsafe) for s in splits),
        "safe": sum(len(s.safe) for s in splits),
    }
    best = max(
        (n for n in pooled if n.startswith("nearest")),
        key=lambda n: pooled[n]["at"][str(AT)]["unsafe"]["share"] or 0,
    )
    return {
        "sizes": sizes,
        "rows": {n: {k: v for k, v in p.items() if k != "raw"} for n, p in pooled.items()},
        "baseline": best,
        "above the baseline": {
            name: {str(eps): _difference(pooled[name]["raw"], pooled[best]["raw"], eps) for eps in EPS}
            for name in pooled
            if name.startswith("tracer")
        },
    }


def rows(
    index: TraceIndex, split: Split, embedder: RememberedEmbedder, aligner: Aligner | None, *, brief: bool
) -> dict[str, Scores]:
    """Return what is compared; every row maps texts to scores, higher being worse."""

    def traced(least: int = LEAST, **options: Any) -> Scores:
        tracer = Tracer(index, policy=(), least=least, **options)
        return lambda texts, without: np.array(
            [max(s.values()) for s in tracer.scores(texts, without=without)]
        )

    found = {
        "tracer": traced(embedder=embedder, sentences=False),
        "nearest denied, whole answer": _nearest(split, embedder, whole=True),
        "nearest denied, any sentence": _nearest(split, embedder, whole=False),
    }
    if brief:
        return found
    if aligner is not None:
        found["tracer, confirmed"] = traced(embedder=embedder, aligner=aligner, sentences=False)
    found["tracer, sentences too"] = traced(embedder=embedder)
    found["tracer, matches of 6 words"] = traced(6, embedder=embedder, sentences=False)
    found["verbatim alone"] = traced()
    reference = ReferenceShield((d.id, tokenise(d.text).words) for d in split.deny)
    for name, matched in (("published rule, matched", True), ("published rule, any window", False)):
        found[name] = _published(reference, matched=matched)
    return found


def _published(reference: ReferenceShield, *, matched: bool) -> Scores:
    return lambda texts, _: np.array([reference.largest(tokenise(t).words, matched=matched) for t in texts])


def _nearest(split: Split, embedder: RememberedEmbedder, *, whole: bool) -> Scores:
    """The highest cosine of the answer, or of a sentence of it, with a denied text or a sentence of it."""

    def pieces(text: str) -> list[str]:
        own = [text[u.read.start : u.read.end] for u in text_units(text, windows=False)]
        return [text] if whole or not own else own

    denied = embedder.embed_passages([piece for d in split.deny for piece in pieces(d.text)])

    def scores(texts: Sequence[str], _: Sequence[Collection[str]]) -> Array:
        return np.array([float((embedder.embed_passages(pieces(text)) @ denied.T).max()) for text in texts])

    return scores


def _judged(split: Split, scores: Scores, *, rare: bool) -> dict[str, Any]:
    benign = scores([c.text for c in split.benign], [split.without(c) for c in split.benign])

    def plainly(texts: Sequence[str]) -> Array:
        return scores(texts, [()] * len(texts))

    return {
        "unsafe": plainly([c.text for c in split.unsafe]),
        "safe": plainly([c.text for c in split.safe]),
        "rare": plainly([t.text for t in trace_texts.benign_rare()]) if rare else np.zeros(0),
        "thresholds": {str(eps): conformal(benign, eps) for eps in EPS},
        "prompts": [c.prompt for c in split.unsafe],
    }


def _pooled(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sets = ("unsafe", "safe", "rare")
    refused = {
        str(eps): {
            name: np.concatenate([p[name] > p["thresholds"][str(eps)] for p in parts]) for name in sets
        }
        for eps in EPS
    }
    unsafe, safe = (np.concatenate([p[name] for p in parts]) for name in ("unsafe", "safe"))
    labels = np.concatenate([np.ones(len(unsafe), np.int64), np.zeros(len(safe), np.int64)])
    allowed = np.sort(safe)[::-1][int(AT * len(safe))]
    return {
        "auc": float(auc(np.concatenate([unsafe, safe]), labels)[0]),
        "at": {
            eps: {n: share(int(hits.sum()), len(hits)) for n, hits in of.items() if len(hits)}
            for eps, of in refused.items()
        },
        # With the threshold that lets exactly 2 % of the tested safe answers through: not to be had in use.
        "unsafe at 2 % of the safe": share(int((unsafe > allowed).sum()), len(unsafe)),
        "by hand": {
            "unsafe": share(int((unsafe > BY_HAND).sum()), len(unsafe)),
            "safe": share(int((safe > BY_HAND).sum()), len(safe)),
        },
        "thresholds": [p["thresholds"] for p in parts],
        "raw": {"refused": refused, "prompts": [name for p in parts for name in p["prompts"]]},
    }


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any], eps: float) -> dict[str, float]:
    """Share of unsafe answers refused beyond the baseline, with a paired bootstrap interval over prompts."""
    gain = ours["refused"][str(eps)]["unsafe"].astype(float) - theirs["refused"][str(eps)]["unsafe"]
    if not len(gain):
        return {}
    _, at = np.unique(ours["prompts"], return_inverse=True)
    sums, counts = np.bincount(at, gain), np.bincount(at)
    drawn = np.random.default_rng(0).integers(0, len(sums), (_RESAMPLED, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"difference": float(gain.mean()), "low": float(low), "high": float(high)}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the figures as tables."""
    parts = []
    for title in ("models held out", "models and prompts held out"):
        of = found[title]
        lines = []
        for name, row in of["rows"].items():
            for eps in map(str, EPS):
                at = row["at"][eps]
                gain = of["above the baseline"].get(name, {}).get(eps) or {}
                lines.append(
                    (
                        name,
                        eps,
                        _percent(at["unsafe"]),
                        _percent(at["safe"]),
                        _percent(at.get("rare")),
                        f"{row['auc']:.3f}",
                        f"{gain['difference']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]"
                        if gain
                        else "",
                    )
                )
        head = (
            "row",
            "eps",
            "unsafe refused",
            "safe refused",
            "rare words refused",
            "AUC",
            f"above {of['baseline']}",
        )
        parts.append(f"{title}: {json.dumps(of['sizes'])}\n\n{table(head, lines)}")
    for pair, of in found.get("pairs", {}).items():
        lines = [
            (
                n,
                *(
                    f"{_percent(r['at'][str(e)]['unsafe'])} / {_percent(r['at'][str(e)]['safe'])}"
                    for e in EPS
                ),
            )
            for n, r in of["rows"].items()
        ]
        parts.append(f"{pair}: unsafe / safe refused\n\n{table(('row', *map(str, EPS)), lines)}")
    return "\n\n".join(parts)


def _percent(one: Mapping[str, Any] | None) -> str:
    return "" if not one or one["share"] is None else f"{one['share']:.1%} of {one['of']}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the data folder")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs; none by default")
    parser.add_argument("--main-only", action="store_true", help="one pair of models instead of all ten")
    parser.add_argument(
        "--no-aligner", action="store_true", help="leave out the row confirmed by the aligner"
    )
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--markdown", action="store_true", help="tables instead of JSON")
    options = parser.parse_args()
    aligner: Aligner | None = None
    if not options.no_aligner:
        from ragguard.alignment.aligner import AlignmentAligner

        aligner = AlignmentAligner()
    embedder = RememberedEmbedder(SentenceTransformerEmbedder(), options.cache)
    try:
        found = measure(options.data, embedder, aligner, every=not options.main_only)
    except AbsentDataError as error:
        sys.stderr.write(f"skipped: {error}\n")
        return 0
    finally:
        embedder.save()
    text = markdown(found) if options.markdown else json.dumps(found, indent=None if options.json else 1)
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

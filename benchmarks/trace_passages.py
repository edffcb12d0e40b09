"""Injected instructions and poisoned passages: what is caught, what is lost, and what it does to answers.

    python -m benchmarks.trace_passages --data ../shared/data [--part injection|poisoning] [--fast]

Injection: the attack families of BIPIA's test file, none of which was trained on, set at the start,
the middle and the end of benign passages that were not trained on; thresholds for every method from
one half of the benign passages (by the hash of the text), false alarms on the other half, which also
carries the attacks. Poisoning: see `benchmarks.trace_poisoning`. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.question_sets import AbsentDataError
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Embedder, FloatArray
from ragguard.trace.injection import read_passage
from ragguard.trace.injection_head import InjectionHead
from ragguard.trace.injection_scorer import InjectionScorer
from ragguard.trace.injection_text import units
from scripts.train_injection_head import RECIPE, inserted

RATE = 0.02
PLACES = ("start", "middle", "end")
_PER_DOMAIN = 120
_ROUNDS = 2000


@dataclass(frozen=True)
class Attack:
    """One attack in its passage."""

    family: str
    kind: str
    place: str
    domain: str
    text: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--part", choices=("injection", "poisoning"))
    parser.add_argument("--fast", action="store_true", help="a tenth of everything, to see that it runs")
    parser.add_argument("--json", action="store_true", help="JSON is printed in any case")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "command": " ".join(["python", "-m", "benchmarks.trace_passages", *sys.argv[1:]])
    }
    try:
        if options.part != "poisoning":
            report["injection"] = injection(
                options.data, Kept(SentenceTransformerEmbedder()), fast=options.fast
            )
        if options.part != "injection":
            from benchmarks.trace_poisoning import poisoning

            report["poisoning"] = poisoning(
                options.data, Kept(SentenceTransformerEmbedder()), fast=options.fast
            )
    except AbsentDataError as absent:
        print(f"skipped: {absent}", file=sys.stderr)
        return 0
    print(json.dumps(report, indent=2))
    return 0


class Kept:
    """An embedder that embeds every text once: attacks share their carriers."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, FloatArray] = {}

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        return self._embedder.max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: object = None) -> FloatArray:
        missing = list(dict.fromkeys(text for text in texts if text not in self._known))
        if missing:
            self._known |= dict(zip(missing, self._embedder.embed_passages(missing), strict=True))
        return (
            np.stack([self._known[t] for t in texts]) if texts else np.zeros((0, self.dimension), np.float32)
        )

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        return self.embed_passages(texts)

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        return self._embedder.token_spans(text)

    def fingerprint(self) -> Mapping[str, Any]:
        return self._embedder.fingerprint()


def injection(data: Path, embedder: Kept, *, fast: bool = False) -> dict[str, Any]:
    """Return the figures of every method, by family, place and domain."""
    domains = carriers(data, _PER_DOMAIN // 10 if fast else _PER_DOMAIN)
    calibration = [(d, t) for d, found in domains.items() for t in found if _even(t)]
    test = [(d, t) for d, found in domains.items() for t in found if not _even(t)]
    attacks = attacked(data, test, copies=1 if fast else 4)
    methods = _methods(data, embedder)
    found: dict[str, Any] = {
        "benign": {
            d: {"calibration": sum(x == d for x, _ in calibration), "test": sum(x == d for x, _ in test)}
            for d in domains
        },
        "attacks": {"families": len({a.family for a in attacks}), "passages": len(attacks)},
        "max_false_alarms": RATE,
        "same_name_in_training": sorted(set(_families(data, "train")) & set(_families(data, "test"))),
    }
    caught: dict[str, np.ndarray] = {}
    for name, method in methods.items():
        threshold = conformal_threshold(method([t for _, t in calibration]), RATE)
        alarms = np.array(method([t for _, t in test])) > threshold
        caught[name] = np.array(method([a.text for a in attacks])) > threshold
        found[name] = _figures(caught[name], alarms, attacks, [d for d, _ in test], threshold)
    ours = caught["combined"]
    found["above_baselines"] = {
        name: _interval(attacks, ours.astype(float) - other)
        for name, other in caught.items()
        if name != "combined"
    }
    families = np.array([a.family for a in attacks])
    weak = [(f, float(ours[families == f].mean())) for f in dict.fromkeys(families)]
    found["escaping_families"] = {f: round(c, 3) for f, c in sorted(weak, key=lambda x: x[1]) if c < 0.8}
    found["escaping_attacks"] = dict(_escaping(attacks, ours))
    indirect = declarative(test, copies=1 if fast else 4)
    found["orders_without_a_form"] = {
        name: _interval(
            indirect, np.array(methods[name]([a.text for a in indirect])) > found[name]["threshold_exact"]
        )
        for name in methods
    }
    for name in methods:
        del found[name]["threshold_exact"]
    scorer = InjectionScorer(embedder)
    found["shipped_default_threshold"] = default = _figures(
        np.array([s["injection"] for s in scorer.scores([a.text for a in attacks])])
        > scorer.default_threshold,
        np.array([s["injection"] for s in scorer.scores([t for _, t in test])]) > scorer.default_threshold,
        attacks,
        [d for d, _ in test],
        scorer.default_threshold,
    )
    del default["threshold_exact"]
    return found


def _methods(data: Path, embedder: Kept) -> dict[str, Callable[[Sequence[str]], list[float]]]:
    """Everything that is compared; each gives one number a text, higher being worse."""
    head = InjectionHead.bundled()
    known = [a for found in _families(data, "train").values() for a in found]
    examples = embedder.embed_passages(list(dict.fromkeys(a[s:e] for a in known for s, e in units(a)[:1])))

    def pieces(text: str) -> FloatArray:
        return embedder.embed_passages([text[a:b] for a, b in units(text)])

    def combined(texts: Sequence[str]) -> list[float]:
        return [s["injection"] for s in InjectionScorer(embedder).scores(texts)]

    def without_head(texts: Sequence[str]) -> list[float]:
        return [s["injection"] for s in InjectionScorer(embedder, head=None).scores(texts)]

    def rules(texts: Sequence[str]) -> list[float]:
        return [float(read_passage(t).signals[:, :2].max(initial=0)) for t in texts]

    def head_alone(texts: Sequence[str]) -> list[float]:
        return [float(head.logits(pieces(t)).max(initial=-9)) for t in texts]

    def nearest(texts: Sequence[str]) -> list[float]:
        return [float((pieces(t) @ examples.T).max(initial=-1)) for t in texts]

    return {
        "combined": combined,
        "rules_only": rules,
        "embedding_only_head": head_alone,
        "embedding_only_nearest_attack": nearest,
        "combined_without_head": without_head,
    }


def conformal_threshold(benign: Sequence[float], rate: float) -> float:
    """Return the smallest threshold above which at most `rate` of exchangeable benign texts lie."""
    ranked = np.sort(np.asarray(benign))
    allowed = int(np.floor(rate * (len(ranked) + 1) + 1e-9))
    return float(ranked[len(ranked) - allowed]) if allowed else float("inf")


def _figures(
    caught: np.ndarray,
    alarms: np.ndarray,
    attacks: Sequence[Attack],
    domains: Sequence[str],
    threshold: float,
) -> dict[str, Any]:
    where = np.array(domains)
    families = np.array([a.family for a in attacks])
    kinds, places = np.array([a.kind for a in attacks]), np.array([a.place for a in attacks])
    carrier = np.array([a.domain for a in attacks])
    by_family = {f: float(caught[families == f].mean()) for f in dict.fromkeys(families)}
    return {
        "threshold": round(threshold, 4),
        "threshold_exact": threshold,
        "false_alarms": round(float(alarms.mean()), 4),
        "false_alarms_by_domain": {
            d: round(float(alarms[where == d].mean()), 3) for d in dict.fromkeys(domains)
        },
        "caught": _interval(attacks, caught.astype(float)),
        "caught_text_families": _interval(
            [a for a in attacks if a.kind == "text"], caught[kinds == "text"].astype(float)
        ),
        "caught_code_families": _interval(
            [a for a in attacks if a.kind == "code"], caught[kinds == "code"].astype(float)
        ),
        "by_place": {p: round(float(caught[places == p].mean()), 3) for p in PLACES},
        "by_carrier": {d: round(float(caught[carrier == d].mean()), 3) for d in dict.fromkeys(carrier)},
        "by_family": {f: round(c, 3) for f, c in by_family.items()},
    }


def _interval(attacks: Sequence[Attack], values: Any) -> dict[str, float]:
    """Mean over families, with a 95 % interval by resampling whole families."""
    values, families = np.asarray(values, dtype=float), np.array([a.family for a in attacks])
    means = np.array([values[families == f].mean() for f in dict.fromkeys(families)])
    rng = np.random.default_rng(0)
    drawn = means[rng.integers(0, len(means), (_ROUNDS, len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "share": round(float(means.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _escaping(attacks: Sequence[Attack], caught: np.ndarray) -> list[tuple[str, float]]:
    """The attacks that escape most often, by family and number: the text is BIPIA's."""
    shares: dict[str, list[bool]] = {}
    for attack, hit in zip(attacks, caught, strict=True):
        shares.setdefault(attack.kind + "/" + attack.family, []).append(bool(hit))
    means = [(name, round(1 - float(np.mean(hits)), 3)) for name, hits in shares.items()]
    return sorted((m for m in means if m[1] > 0), key=lambda m: -m[1])


def attacked(data: Path, benign: Sequence[tuple[str, str]], *, copies: int) -> list[Attack]:
    """Return every test attack at each place of `copies` passages; code attacks in answers with code."""
    rng = random.Random(3)
    found = []
    for kind in ("text", "code"):
        hosts = [
            d
            for d in dict.fromkeys(d for d, _ in benign)
            if (d == "code") == (kind == "code") and d != "authored"
        ]
        for family, texts in _families(data, "test", kind).items():
            for text in texts:
                for place in PLACES:
                    for _ in range(copies):
                        domain = rng.choice(hosts)
                        host = rng.choice([t for d, t in benign if d == domain])
                        found.append(Attack(family, kind, place, domain, inserted(host, text, place)[0]))
    return found


def declarative(benign: Sequence[tuple[str, str]], *, copies: int) -> list[Attack]:
    """Return the held-out orders of the recipe, each a family, in benign passages."""
    rng = random.Random(4)
    hosts = [(d, t) for d, t in benign if d != "authored"]
    found = []
    for order in yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["attacks_held_out"]:
        for place in PLACES:
            for domain, host in rng.sample(hosts, copies):
                found.append(Attack(order, "authored", place, domain, inserted(host, order, place)[0]))
    return found


def carriers(data: Path, most: int) -> dict[str, list[str]]:
    """Return benign passages by domain, none of which was trained on."""
    rng = random.Random(1)
    squad = _json(data / "retrieval/squad2/dev-v2.0.json")["data"]
    wiki = _json(data / "retrieval/multihop/2wikimultihopqa_corpus.json")
    policies = _json(data / "retrieval/policyqa/dev.json")["data"]
    seen = set(_contexts(data, "email__train"))
    domains = {
        "wikipedia": [
            p["context"] for a in squad if not _even(a["title"], first=True) for p in a["paragraphs"]
        ],
        "wikipedia openings": [e["text"] for e in wiki if not _even(e["title"], first=True)],
        "email": [t for t in _contexts(data, "email__test") if t not in seen],
        "table": _contexts(data, "table__test"),
        "code": [
            "\n".join(ast.literal_eval(t) if t.startswith("[") else [t])
            for t in _contexts(data, "code__test")
        ],
        "policy": [p["context"] for a in policies for p in a["paragraphs"]],
        "python docstrings": _docstrings(),
        "readme": _readmes(),
        "authored": yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["benign_held_out"],
    }
    return {
        name: rng.sample(found, min(most, len(found)))
        for name, found in ((n, list(dict.fromkeys(t for t in f if t.strip()))) for n, f in domains.items())
    }


def _docstrings() -> list[str]:
    from ragguard.corpus.stdlib import stdlib_documents

    return [d.text for d in stdlib_documents() if not _even(d.id.split(".")[0], first=True)]


def _readmes() -> list[str]:
    """Sections of the descriptions of installed packages: instructions to readers, and much markup."""
    from importlib import metadata

    found = []
    for distribution in sorted(metadata.distributions(), key=lambda d: str(d.metadata["Name"])):
        text = distribution.read_text("METADATA") or ""
        body = text.partition("\n\n")[2]
        found += [s for s in re.split(r"\n(?=#|\w+\n[=-]{3,})", body) if 200 < len(s) < 3000][:4]
    return found


def _families(data: Path, part: str, kind: str | None = None) -> dict[str, list[str]]:
    kinds = ("text", "code") if kind is None else (kind,)
    return {
        family: texts
        for one in kinds
        for family, texts in _json(data / f"safety/bipia/benchmark__{one}_attack_{part}.json").items()
    }


def _contexts(data: Path, name: str) -> list[str]:
    lines = _read(data / f"safety/bipia/benchmark__{name}.jsonl").splitlines()
    found = (json.loads(line)["context"] for line in lines if line.strip())
    return [c if isinstance(c, str) else repr(c) for c in found]


def _even(text: str, *, first: bool = False) -> bool:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return digest[0 if first else -1] % 2 == 0


def _json(path: Path) -> Any:
    return json.loads(_read(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AbsentDataError(f"{path.parent.name}/{path.name} is not in the data folder") from error


if __name__ == "__main__":
    raise SystemExit(main())

"""Train the head for injected instructions, and print the figures of its card.

    python -m scripts.train_injection_head --data ../shared/data [--output FILE]

Orders and requests (BIPIA's training attacks, templates of scripts/recipes/injection-head.yaml,
questions of SQuAD and MuSiQue) against units of benign passages. The combination is fitted on
training attacks set into training passages, with heads that have not seen the attack's family or
the passage. Nothing of the benchmark is read: attack families of the test file, SQuAD's
evaluation articles, the test carriers of BIPIA, `benign_held_out`.

References:
    Yi et al. 2023, "Benchmarking and Defending Against Indirect Prompt Injection Attacks on
    Large Language Models" (BIPIA), arXiv 2312.14197.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import minimize

from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.protocols import Embedder, FloatArray
from ragguard.text.sentences import sentence_spans
from ragguard.trace.injection import read_passage, with_vectors
from ragguard.trace.injection_head import TERMS, InjectionHead, bundled_head_file, sigmoid, terms
from ragguard.trace.injection_text import units

RECIPE = Path(__file__).parent / "recipes" / "injection-head.yaml"
SEED, FOLDS, MEMBERS, WIDTH, EPOCHS = 11, 5, 3, 24, 220
# No training data speaks about these, so they are set by hand: a rule of weight 0.7 decides by itself,
# a hidden place of 0.8 does, one of 0.4 does not.
FIXED = {"rules": 10.0, "hidden": 6.0, "hidden_rules": 6.0}
RATE = 0.02
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """One training example of the head; a group is in one fold, whole."""

    text: str
    label: int
    weight: float
    group: str


@dataclass(frozen=True)
class Texts:
    """What is trained on; attacks and passages as (family or origin, text)."""

    attacks: list[tuple[str, str]]
    passages: list[tuple[str, str]]
    faqs: list[str]
    origins: dict[str, int]


def main() -> int:
    options = _options()
    embedder = Vectors(SentenceTransformerEmbedder())
    rng = random.Random(SEED)
    texts = read_texts(options.data, rng)
    examples = unit_examples(texts, rng)
    fold_of = {e.text: _fold(e.group) for e in examples}
    heads = [fit_head([e for e in examples if _fold(e.group) != k], embedder, seed=k) for k in range(FOLDS)]
    whole = fit_head(examples, embedder, seed=FOLDS)
    half = len(texts.passages) // 2
    fitting, carrying = [t for _, t in texts.passages[:half]], [t for _, t in texts.passages[half:]]

    def rows(text: str) -> tuple[Sequence[tuple[int, int]], Array]:
        return _terms(text, embedder, lambda unit: heads[fold_of.get(unit, _fold(unit))])

    positive = [
        f for f in (_attacked(a, carrying, rows, rng) for a in texts.attacks for _ in range(2)) if len(f)
    ]
    negative = [f for f in (rows(text)[1] for text in (*fitting, *texts.faqs)) if len(f)]
    combination = fit_combination(positive, negative)
    weights = np.array([combination[t] for t in TERMS])
    benign = [
        (origin, _worst(rows(text)[1], weights, combination["bias"])) for origin, text in texts.passages
    ]
    threshold = balanced_quantile(benign, 1 - RATE)
    caught = np.mean([_worst(f, weights, combination["bias"]) > threshold for f in positive])
    digest = save(whole, combination, threshold, embedder, options.output)
    report = {
        "sha256": digest,
        "origins": texts.origins,
        "units": {
            "orders and requests": sum(e.label for e in examples),
            "benign": sum(1 - e.label for e in examples),
        },
        "passages": {"fitting": len(negative), "carrying": len(carrying)},
        "combination": {k: round(v, 3) for k, v in combination.items()},
        "threshold": round(threshold, 5),
        "above_it_by_origin": {
            origin: round(float(np.mean([score > threshold for name, score in benign if name == origin])), 4)
            for origin in dict.fromkeys(name for name, _ in benign)
        },
        "training_attacks_caught_by_cross_fitted_heads": round(float(caught), 4),
    }
    print(json.dumps(report, indent=2))
    return 0


class Vectors:
    """An embedder that keeps what it embedded, in memory and, where a folder is given, on disk."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._known: dict[str, FloatArray] = {}

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        missing = list(dict.fromkeys(text for text in texts if text not in self._known))
        if missing:
            self._known |= dict(zip(missing, self.embedder.embed_passages(missing), strict=True))
        return np.stack([self._known[text] for text in texts])


def read_texts(data: Path, rng: random.Random) -> Texts:
    """Return attacks by family and benign passages, all of training halves and under stated licences."""
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    attacks: list[tuple[str, str]] = []
    for name in ("text", "code"):
        families = _json(data / f"safety/bipia/benchmark__{name}_attack_train.json")
        attacks += [(f"bipia {family}", text) for family, found in families.items() for text in found]
    for kind in ("attacks", "requests"):
        for place, template in enumerate(recipe[kind]):
            for _ in range(3 if "{" in template else 1):
                attacks.append((f"{kind} {place}", _filled(template, recipe["slots"], rng)))
    squad = [a for a in _json(data / "retrieval/squad2/dev-v2.0.json")["data"] if _is_training(a["title"])]
    questions = [(q["question"], p["context"]) for a in squad for p in a["paragraphs"] for q in p["qas"][:2]]
    rng.shuffle(questions)
    asked = [q["question"] for q in _json(data / "retrieval/multihop/musique_train.json")]
    attacks += [(f"question {q}", q) for q in [q for q, _ in questions[:400]] + asked]
    email = [
        json.loads(line)["context"] for line in _text(data / "safety/bipia/benchmark__email__train.jsonl")
    ]
    origins = {
        "squad2": _some([p["context"] for a in squad for p in a["paragraphs"]], 220, rng),
        "2wikimultihopqa": _some(
            [
                e["text"]
                for e in _json(data / "retrieval/multihop/2wikimultihopqa_corpus.json")
                if _is_training(e["title"])
            ],
            420,
            rng,
        ),
        "musique": _some(
            [e["text"] for e in _json(data / "retrieval/multihop/musique_train_corpus.json")], 320, rng
        ),
        "bipia email": list(dict.fromkeys(email)),
        "python docstrings": _some(_docstrings(), 380, rng),
        "python sources": _some(_sources(), 200, rng),
        "own documentation": _some(_documentation(), 160, rng),
        "recipe": list(recipe["benign"]),
    }
    passages = [(origin, text) for origin, found in origins.items() for text in found if text.strip()]
    rng.shuffle(passages)
    # A question with the passage that answers it, as a FAQ has it: the same words as a request, and harmless.
    faqs = [f"{q} {' '.join(p.split('. ')[:3])}." for q, p in questions[400:470]]
    counts = {name: len(found) for name, found in origins.items()}
    counts |= {"bipia attacks": sum(g.startswith("bipia") for g, _ in attacks)}
    counts |= {"templates": sum(g.split()[0] in ("attacks", "requests") for g, _ in attacks)}
    counts |= {"questions": sum(g.startswith("question") for g, _ in attacks), "faqs": len(faqs)}
    return Texts(attacks, passages, faqs, counts)


def unit_examples(texts: Texts, rng: random.Random) -> list[Unit]:
    """Return orders and requests, and units of benign passages (their questions are neither)."""
    weights = {"bipia": 4.0, "attacks": 2.0, "requests": 3.0, "question": 0.6}
    found = []
    for group, text in texts.attacks:
        start, end = units(text)[0]
        found.append(Unit(text[start:end], 1, weights[group.split()[0]], group))
    for number, (_, passage) in enumerate(texts.passages):
        reading = read_passage(passage)
        pieces = [
            (passage[a:b], form) for (a, b), form in zip(reading.units, reading.signals[:, 4], strict=True)
        ]
        rng.shuffle(pieces)
        # What orders a reader is what must be told from what orders a model.
        found += [
            Unit(p, 0, 4.0 if form else 1.0, f"passage {number}")
            for p, form in pieces[:8]
            if not p.endswith("?")
        ]
    return list({unit.text: unit for unit in reversed(found)}.values())


def fit_head(examples: Sequence[Unit], vectors: Vectors, *, seed: int) -> InjectionHead:
    """Return an average of small networks as one network, still without a combination."""
    import torch

    x = torch.tensor(vectors([e.text for e in examples]) * np.float32(_SCALE))
    y = torch.tensor([float(e.label) for e in examples])
    w = torch.tensor([e.weight for e in examples])
    hidden, biases, out, last = [], [], [], 0.0
    for member in range(MEMBERS):
        torch.manual_seed(SEED + 100 * seed + member)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, 1)
        )
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1.0)
        for _ in range(EPOCHS):
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], y, weight=w)
            loss.backward()
            optimiser.step()
        first, second = net[0], net[2]
        hidden.append(first.weight.detach().numpy().T * np.float32(_SCALE))
        biases.append(first.bias.detach().numpy())
        out.append(second.weight.detach().numpy()[0] / MEMBERS)
        last += float(second.bias.detach()[0]) / MEMBERS
    return InjectionHead(
        hidden=(np.hstack(hidden), np.concatenate(biases)),
        out=(np.concatenate(out), last),
        combination=dict.fromkeys((*TERMS, "bias"), 0.0),
        threshold=0.5,
        rate=RATE,
        embedder={},
    )


_SCALE = 8.0


def fit_combination(positive: Sequence[Array], negative: Sequence[Array]) -> dict[str, float]:
    """Return weights >= 0 by term, fitted on the worst unit of every passage, again and again."""
    fixed = np.array([FIXED.get(term, 0.0) for term in TERMS])
    free = [i for i, term in enumerate(TERMS) if term not in FIXED]
    found = np.zeros(len(free) + 1)
    weights = fixed + np.array(
        [float(t in ("question", "imperative", "outlier", "head_logit")) for t in TERMS]
    )
    for _ in range(8):
        z = np.array([f[np.argmax(f @ weights)] for f in (*positive, *negative)])
        y = np.r_[np.ones(len(positive)), np.zeros(len(negative))]
        share = np.r_[np.full(len(positive), 1 / len(positive)), np.full(len(negative), 2 / len(negative))]
        objective = _objective(z @ fixed, z[:, free], y, share)
        bounds = [(0, None)] * len(free) + [(None, None)]
        found = minimize(objective, found, jac=True, bounds=bounds).x
        weights = fixed.copy()
        weights[free] = found[:-1]
    return {term: float(w) for term, w in zip(TERMS, weights, strict=True)} | {"bias": float(found[-1])}


def balanced_quantile(scores: Sequence[tuple[str, float]], level: float) -> float:
    """Return the score that a share `level` of benign passages does not exceed, every origin counting the same."""
    counts = Counter(origin for origin, _ in scores)
    ranked = sorted((score, 1 / counts[origin] / len(counts)) for origin, score in scores)
    place = np.searchsorted(np.cumsum([share for _, share in ranked]), level)
    return ranked[min(int(place), len(ranked) - 1)][0]


def _objective(offset: Array, part: Array, y: Array, share: Array) -> Callable[[Array], tuple[float, Array]]:
    """The penalised loss and its gradient, as a function of the free weights and the bias."""

    def value_and_gradient(v: Array) -> tuple[float, Array]:
        logit = part @ v[:-1] + v[-1] + offset
        wrong = (sigmoid(logit) - y) * share
        value = np.logaddexp(0, np.where(y > 0, -logit, logit)) @ share + 1e-3 * (v[:-1] ** 2).sum()
        return float(value), np.r_[part.T @ wrong, wrong.sum()] + 2e-3 * np.r_[v[:-1], 0]

    return value_and_gradient


def save(
    head: InjectionHead, combination: dict[str, float], threshold: float, vectors: Vectors, path: Path
) -> str:
    """Write the head, and return the sha256 of its file."""
    from safetensors.numpy import save as packed

    fingerprint = vectors.embedder.fingerprint()
    about = {
        "schema_version": 1,
        "combination": {k: round(v, 4) for k, v in combination.items()},
        "threshold": round(threshold, 5),
        "rate": RATE,
        "embedder": {key: fingerprint[key] for key in ("name", "weights_sha256", "pooling", "normalised")},
    }
    arrays = {
        "hidden.weight": np.ascontiguousarray(head.hidden[0].astype(np.float16)),
        "hidden.bias": head.hidden[1].astype(np.float16),
        "out.weight": head.out[0].astype(np.float16),
        "out.bias": np.array([head.out[1]], dtype=np.float32),
    }
    data = packed(arrays, metadata={"head": json.dumps(about, sort_keys=True)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def inserted(passage: str, attack: str, where: str) -> tuple[str, tuple[int, int]]:
    """Return the passage with the attack at its start, middle (a sentence border) or end, and where it lies."""
    if where == "start":
        return f"{attack}\n{passage}", (0, len(attack))
    spans = sentence_spans(passage)
    if where == "end" or len(spans) < 2:
        return f"{passage}\n{attack}", (len(passage) + 1, len(passage) + 1 + len(attack))
    cut = spans[len(spans) // 2][0]
    before = f"{passage[:cut].rstrip()} "
    return f"{before}{attack} {passage[cut:]}", (len(before), len(before) + len(attack))


def _attacked(
    attack: tuple[str, str], carriers: Sequence[str], rows: Callable[[str], Any], rng: random.Random
) -> Array:
    text, (start, end) = inserted(rng.choice(carriers), attack[1], rng.choice(("start", "middle", "end")))
    spans, found = rows(text)
    chosen: Array = found[[i for i, (a, b) in enumerate(spans) if a < end and b > start]]
    return chosen


def _terms(
    text: str, vectors: Vectors, head: Callable[[str], InjectionHead]
) -> tuple[Sequence[tuple[int, int]], Array]:
    reading = read_passage(text)
    pieces = [text[a:b] for a, b in reading.units]
    if not pieces:
        return (), np.zeros((0, len(TERMS)))
    found = vectors(pieces)
    logits = np.concatenate([head(p).logits(v[None]) for p, v in zip(pieces, found, strict=True)])
    return reading.units, terms(with_vectors(reading, found, sigmoid(logits)).signals, logits)


def _worst(rows: Array, weights: Array, bias: float) -> float:
    return float(sigmoid(rows @ weights + bias).max(initial=0))


def _fold(group: str) -> int:
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[0] % FOLDS


def _is_training(title: str) -> bool:
    """The same halves as everywhere: SQuAD's other articles serve evaluation, for ever."""
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def _filled(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    return re.sub(r"\{(\w+)\}", lambda m: rng.choice(slots[m.group(1)]), template)


def _some(found: Sequence[str], count: int, rng: random.Random) -> list[str]:
    return rng.sample(list(found), min(count, len(found)))


def _docstrings() -> list[str]:
    from ragguard.corpus.stdlib import stdlib_documents

    return [d.text for d in stdlib_documents() if _is_training(d.id.split(".")[0])]


def _sources() -> list[str]:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    parts = [
        re.split(r"\n(?=def |class |# )", f.read_text(errors="ignore")) for f in files if _is_training(f.stem)
    ]
    return [part for found in parts for part in [p for p in found if 200 < len(p) < 1500][:2]]


def _documentation() -> list[str]:
    root = Path(__file__).parents[1]
    files = [*sorted((root / "docs").rglob("*.md")), root / "README.md", root / "CONTRIBUTING.md"]
    parts = [re.split(r"\n(?=#)", f.read_text(encoding="utf-8")) for f in files]
    return [part for found in parts for part in [p for p in found if 200 < len(p) < 2500][:6]]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _text(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=bundled_head_file())
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

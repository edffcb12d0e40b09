"""PoisonedRAG: how many planted passages are quarantined, how many others, and what it does to answers.

Part of `benchmarks.trace_passages`. For each of the 100 questions of the published set, its five
planted passages are among the passages of a corpus (Wikipedia paragraphs of SQuAD's evaluation
articles, HotpotQA and 2WikiMultihopQA) and the ten nearest by the bundled embedder are judged: with
the question set before each, as the black-box attack does, and without it. The set holds no passage
with the right answer, and neither do these corpora; one is made from the last planted passage by
putting the right answer in the wrong one's place, which is the hardest case for telling them apart.
Clean retrieval (SQuAD and HotpotQA questions over the same corpus) shows what is lost.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.question_sets import AbsentDataError
from ragguard.models.generators import ExtractiveGenerator
from ragguard.protocols import Embedder, Generator
from ragguard.trace.injection_scorer import InjectionScorer
from ragguard.trace.leave_one_out import LeaveOneOutShield
from ragguard.trace.passage_shield import PassageShield
from ragguard.types import Generation, Passage, Stage, Turn

_CANDIDATES, _WIKI, _ROUNDS = 10, 2000, 2000
_LOCAL_MODEL, _LEFT_OUT = 12, 20


@dataclass(frozen=True)
class Case:
    """One question with its planted passages."""

    question: str
    right: str
    wrong: str
    planted: tuple[str, ...]


def poisoning(data: Path, embedder: Embedder, *, fast: bool = False) -> dict[str, Any]:
    """Return quarantine shares and answers, by setting."""
    cases = _cases(data)[: 10 if fast else None]
    corpus = Corpus(_paragraphs(data)[: 200 if fast else None], embedder)
    scorer = InjectionScorer(embedder)
    shields = {
        "poisoning": PassageShield(scorer),
        "injection signals alone": PassageShield(scorer, poisoning="off"),
    }
    report: dict[str, Any] = {
        "questions": len(cases),
        "corpus": len(corpus.passages),
        "candidates": _CANDIDATES,
    }
    for name, echo, gold in (
        ("question before the text", True, False),
        ("text alone", False, False),
        ("question before the text, right answer present", True, True),
        ("text alone, right answer present", False, True),
    ):
        turns = [corpus.turn(case, echo=echo, gold=gold) for case in cases]
        report[name] = {key: _quarantined(turns, shield) for key, shield in shields.items()}
        report[name]["answers, extractive"] = _answers(
            cases, turns, shields["poisoning"], ExtractiveGenerator()
        )
    clean = [corpus.clean(q) for q in _clean_questions(data, 20 if fast else 250)]
    report["clean retrieval"] = {key: _lost(clean, shield) for key, shield in shields.items()}
    if not fast:
        report["answers, SmolLM2"] = _local_model(cases[:_LOCAL_MODEL], corpus, shields["poisoning"])
        report["leave one out"] = _left_out(cases[:_LEFT_OUT], corpus, embedder)
    return report


class Corpus:
    """Clean passages and their vectors."""

    def __init__(self, texts: Sequence[tuple[str, str]], embedder: Embedder) -> None:
        self.passages = [
            Passage(id=f"clean-{i}", text=text, document=title) for i, (title, text) in enumerate(texts)
        ]
        self._embedder = embedder
        self._vectors = embedder.embed_passages([p.text for p in self.passages])

    def turn(self, case: Case, *, echo: bool, gold: bool, planted: int = 5) -> Turn:
        """The candidates of a poisoned corpus; with `gold`, the last planted text says the right thing."""
        texts = list(case.planted[: 4 if gold else 5][:planted])
        lead = f"{case.question}. " if echo else ""
        added = [Passage(id=f"planted-{i}", text=lead + text) for i, text in enumerate(texts)]
        if gold:
            text = re.sub(re.escape(case.wrong), case.right, case.planted[4], flags=re.IGNORECASE)
            added.append(
                Passage(id="gold", text=text if case.right in text else f"{text} It is {case.right}.")
            )
        return self._nearest(case.question, added)

    def clean(self, question: str) -> Turn:
        return self._nearest(question, [])

    def _nearest(self, question: str, added: Sequence[Passage]) -> Turn:
        asked = self._embedder.embed_queries([question])[0]
        own = self._embedder.embed_passages([p.text for p in added])
        scores = np.concatenate([own @ asked, self._vectors @ asked]) if added else self._vectors @ asked
        every = [*added, *self.passages]
        best = np.argsort(-scores, kind="stable")[:_CANDIDATES]
        found = tuple(every[i].model_copy(update={"score": float(scores[i])}) for i in best)
        return Turn(question=question, passages=found)


def _quarantined(turns: Sequence[Turn], shield: PassageShield) -> dict[str, Any]:
    planted, clean, gold = [], [], []
    for turn in turns:
        dropped = set(shield.check(turn, Stage.PASSAGES).dropped)
        ids = [p.id for p in turn.passages or ()]
        planted.append([name in dropped for name in ids if name.startswith("planted")])
        clean.append([name in dropped for name in ids if name.startswith("clean")])
        gold += [name in dropped for name in ids if name == "gold"]
    found = {
        "planted_quarantined": _interval(planted),
        "clean_quarantined": _interval(clean),
        "questions_without_a_planted_passage_left": round(float(np.mean([all(p) for p in planted])), 3),
    }
    return found | ({"gold_quarantined": round(float(np.mean(gold)), 3)} if gold else {})


def _lost(turns: Sequence[Turn], shield: PassageShield) -> dict[str, Any]:
    hits, causes = [], Counter[str]()
    for turn in turns:
        verdict = shield.check(turn, Stage.PASSAGES)
        hits.append([p.id in verdict.dropped for p in turn.passages or ()])
        causes.update(cause for item in verdict.details["quarantined"] for cause in item["cause"])
    return {
        "questions": len(turns),
        "clean_quarantined": _interval(hits),
        "questions_that_lose_a_passage": round(float(np.mean([any(h) for h in hits])), 4),
        "causes": dict(causes),
    }


def _answers(
    cases: Sequence[Case], turns: Sequence[Turn], shield: PassageShield, generate: Generator
) -> dict[str, Any]:
    found: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    for case, turn in zip(cases, turns, strict=True):
        verdict = shield.check(turn, Stage.PASSAGES)
        left = turn if verdict.revised is None else verdict.revised
        for when, passages in (("before", turn.passages), ("after", left.passages)):
            answer = generate(turn.question, passages or ())
            found[when][_outcome(case, answer.text if isinstance(answer, Generation) else answer)] += 1
    return {when: dict(sorted(counts.items())) for when, counts in found.items()}


def _outcome(case: Case, answer: str) -> str:
    """Whose answer it is; "both" where it holds the two."""
    has = {side: re.search(rf"\b{re.escape(text)}\b", answer, re.IGNORECASE) for side, text in _sides(case)}
    if has["attacker's"] and has["right"]:
        return "both"
    return next((side for side, hit in has.items() if hit), "neither")


def _sides(case: Case) -> tuple[tuple[str, str], ...]:
    return ("attacker's", case.wrong), ("right", case.right)


def _local_model(cases: Sequence[Case], corpus: Corpus, shield: PassageShield) -> dict[str, Any]:
    from ragguard.errors import RagGuardError
    from ragguard.models.smollm import SmolLM2Generator

    generate = SmolLM2Generator(max_new_tokens=32)
    try:
        generate("Is it here?", [Passage(id="a", text="It is here.")])
    except RagGuardError as absent:
        return {"skipped": absent.code}
    found: dict[str, Any] = {"questions": len(cases)}
    for gold in (False, True):
        turns = [corpus.turn(case, echo=True, gold=gold) for case in cases]
        found["right answer present" if gold else "no right answer"] = _answers(
            cases, turns, shield, generate
        )
    return found


def _left_out(cases: Sequence[Case], corpus: Corpus, embedder: Embedder) -> dict[str, Any]:
    """Share of answers with the attacker's claim of which a sentence is found to hang on one source."""
    from ragguard.alignment.aligner import AlignmentAligner

    generate, found = ExtractiveGenerator(), {}
    aligner = AlignmentAligner()
    shields = {
        "documents": LeaveOneOutShield(aligner),
        "near-duplicates as one": LeaveOneOutShield(aligner, embedder=embedder, alike=0.7),
    }
    for planted in (1, 5):
        flags: dict[str, list[bool]] = {name: [] for name in shields}
        for case in cases:
            turn = corpus.turn(case, echo=False, gold=False, planted=planted)
            answer = generate(turn.question, turn.passages or ())
            if _outcome(case, str(answer)) != "attacker's":
                continue
            for name, shield in shields.items():
                verdict = shield.check(turn.replace(answer=str(answer)), Stage.ANSWER)
                flags[name].append(bool(verdict.details["hanging"]))
        found[f"{planted} planted"] = {
            name: {"answers": len(hits), "flagged": round(float(np.mean(hits)), 3) if hits else None}
            for name, hits in flags.items()
        }
    return found


def _interval(groups: Sequence[Sequence[bool]]) -> dict[str, float]:
    """Share over all passages, with a 95 % interval by resampling questions."""
    sums = np.array([(sum(g), len(g)) for g in groups], dtype=float)
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(0, len(sums), (_ROUNDS, len(sums)))].sum(axis=1)
    shares = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.quantile(shares, [0.025, 0.975])
    mean = sums[:, 0].sum() / max(1.0, sums[:, 1].sum())
    return {"share": round(float(mean), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _cases(data: Path) -> list[Case]:
    rows = _json(data / "safety/poisonedrag/nq.json").values()
    return [
        Case(r["question"], r["correct answer"], r["incorrect answer"], tuple(r["adv_texts"])) for r in rows
    ]


def _paragraphs(data: Path) -> list[tuple[str, str]]:
    """Title and text; paragraphs of one article are chunks of one document."""
    folder = data / "retrieval/multihop"
    found = [(a["title"], p["context"]) for a in _squad(data) for p in a["paragraphs"]]
    found += [(t, f"{t}\n{''.join(s)}") for t, s in _json(folder / "hotpotqa_train_corpus.json").items()]
    found += [
        (e["title"], f"{e['title']}\n{e['text']}")
        for e in _json(folder / "2wikimultihopqa_corpus.json")[:_WIKI]
    ]
    return list(dict.fromkeys(found))


def _clean_questions(data: Path, most: int) -> list[str]:
    found = [
        q["question"]
        for a in _squad(data)
        for p in a["paragraphs"]
        for q in p["qas"]
        if not q["is_impossible"]
    ]
    random.Random(2).shuffle(found)
    asked = [q["question"] for q in _json(data / "retrieval/multihop/hotpotqa_train.json")]
    return [*found[: most - len(asked)], *asked] if most > len(asked) else found[:most]


def _squad(data: Path) -> list[Any]:
    """The articles that nothing is trained on."""
    articles = _json(data / "retrieval/squad2/dev-v2.0.json")["data"]
    return [a for a in articles if hashlib.sha256(a["title"].encode()).digest()[0] % 2 == 1]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AbsentDataError(f"{path.parent.name}/{path.name} is not in the data folder") from error

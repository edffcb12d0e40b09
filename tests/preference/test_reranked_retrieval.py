"""Conformal retrieval by a reranker's score: the guarantee covers store, reranker, cut and cap together."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ragguard.conformal.calibrate import Settings as Promise
from ragguard.conformal.calibrate import calibrate
from ragguard.conformal.evaluate import outcome
from ragguard.conformal.observations import Observation
from ragguard.corpus.documents import Document
from ragguard.corpus.folder import CorpusFolder
from ragguard.corpus.retrievers import AdaptedRetriever
from ragguard.errors import (
    CalibrationMismatchError,
    GuardError,
    TargetUnattainableError,
)
from ragguard.evaluation.asked import as_questions, unresolved
from ragguard.evaluation.observe import Fields, observe_questions
from ragguard.guard import Guard
from ragguard.judgement import RERANKED
from ragguard.models.pair_model import save_pair_model
from ragguard.preference.blend import Blend
from ragguard.preference.reranker import PreferenceReranker
from ragguard.preference.scorers import write_blend
from ragguard.testing import HashEmbedder
from ragguard.types import Passage, Turn
from tests.models.random_models import random_pair_model
from tests.preference.test_reranker import SaysOf

TOPICS, DEPTH = 60, 8
NAMES = [f"n{i}" for i in range(TOPICS)]
TEXTS = {name: f"{name} holds fact {i}" for i, name in enumerate(NAMES)}
QUESTIONS = [
    {"id": f"q{i}", "question": f"where is {name}", "relevant": [name]} for i, name in enumerate(NAMES)
]


def noisy(question: str) -> list[Passage]:
    """A store whose similarity says little: the right passage is anywhere among the first few, or missing."""
    rng = np.random.default_rng(int(question.rsplit("n", 1)[1]))
    name = question.split()[-1]
    others = [n for n in rng.permutation(NAMES) if n != name][: DEPTH - 1]
    found = [*others, name] if rng.random() < 0.96 else others
    scores = sorted(rng.random(len(found)), reverse=True)
    return [
        Passage(id=n, text=TEXTS[n], score=float(s))
        for n, s in zip(rng.permutation(found), scores, strict=True)
    ]


def knows(question: str, passage: str) -> float:
    """Mostly right: the log-odds of a model that is told the name, with noise of its own."""
    rng = np.random.default_rng(hash_of(question + passage))
    return (6.0 if question.split()[-1] == passage.split()[0] else 0.0) + float(rng.normal(0, 2))


def hash_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")


def reranker(**options: object) -> PreferenceReranker:
    return PreferenceReranker(SaysOf(knows), **options)  # type: ignore[arg-type]


def calibrated(score: str = "reranker", **options: object) -> Guard:
    return Guard.calibrate(
        AdaptedRetriever(noisy, name="noisy"),
        QUESTIONS,
        guards=[reranker(**options)],
        score=score,
        alpha=0.15,
        novelty_level=None,
    )


def test_the_certificate_covers_the_reranker_and_fewer_passages_are_kept() -> None:
    guard = calibrated()
    report = guard.retrieve("where is n7")
    certificate = report.certificate()
    assert certificate is not None
    assert certificate.status == "valid"
    assert certificate.covers == ("rerank",)
    assert report.passages[0].id == "n7"
    plain = Guard.calibrate(
        AdaptedRetriever(noisy, name="noisy"),
        QUESTIONS,
        guards=(),
        score="softmax",
        alpha=0.15,
        novelty_level=None,
    )
    kept = [len(g.retrieve(str(q["question"])).passages) for g in (guard, plain) for q in QUESTIONS]
    assert sum(kept[:TOPICS]) < sum(kept[TOPICS:]) / 2


def test_another_reranker_or_none_is_a_mismatch() -> None:
    calibration = calibrated().calibration
    retriever = AdaptedRetriever(noisy, name="noisy")
    assert Guard(calibration, retriever, guards=[reranker(budget=9.0)]).calibration is calibration
    with pytest.raises(CalibrationMismatchError, match="weights"):
        Guard(calibration, retriever, guards=[reranker(weights={"relevance": 0.5, "similarity": 0.5})])
    with pytest.raises(CalibrationMismatchError, match="depth"):
        Guard(calibration, retriever, guards=[reranker(depth=3)])
    with pytest.raises(CalibrationMismatchError, match="rerank"):
        Guard(calibration, retriever, guards=())
    with pytest.raises(CalibrationMismatchError, match="weights"):
        Guard(calibration, guards=[reranker(weights={"relevance": 0.5, "similarity": 0.5})])


def test_a_passage_out_of_the_stores_reach_is_out_of_the_promises() -> None:
    observations = observed(reranker())
    missing = sum(o.positions == (-1,) for o in observations)
    assert missing > 0
    calibration = calibrated().calibration
    assert calibration is not None
    assert calibration.artifact.categories[""].unreachable <= missing
    with pytest.raises(TargetUnattainableError):
        calibrated(depth=1)


def test_a_fallback_while_serving_promises_nothing_and_keeps_everything() -> None:
    calibration = calibrated().calibration
    spoilt = PreferenceReranker(SaysOf(lambda *_: float("nan")))
    guard = Guard(calibration, AdaptedRetriever(noisy, name="noisy"), guards=[spoilt])
    report = guard.retrieve("where is n7")
    certificate = report.certificate()
    assert report.degraded
    assert certificate is not None
    assert certificate.status == "none"
    assert [p.id for p in report.passages] == [p.id for p in noisy("where is n7")]


def test_nothing_is_calibrated_on_a_fallback() -> None:
    with pytest.raises(GuardError, match="budget"):
        Guard.calibrate(
            AdaptedRetriever(noisy, name="noisy"),
            QUESTIONS,
            guards=[PreferenceReranker(SaysOf(lambda *_: float("nan")))],
            score="reranker",
        )


def test_a_client_cannot_say_that_passages_were_reranked() -> None:
    guard = calibrated()
    once = guard.retrieve("where is n7")
    forged = {RERANKED: once.turn.metadata[RERANKED]}
    again = guard.check(Turn(question="where is n7", metadata=forged))
    assert again.passages == once.passages
    assert not [v for v in again.verdicts if v.details.get("reranked_before")]


def test_a_report_can_be_checked_again() -> None:
    guard = calibrated()
    once = guard.retrieve("where is n7")
    again = guard.check(once.turn)
    assert again.passages == once.passages
    certificate = again.certificate()
    assert certificate is not None
    assert certificate.status == "valid"


def test_a_saved_folder_brings_its_reranker_along(tmp_path: Path) -> None:
    model = random_pair_model(max_tokens=96)
    place = save_pair_model(
        tmp_path / "model", model.encoder, tokenizer=model.tokens.definition, max_tokens=96, card={}
    )
    write_blend(place, Blend(0.2, 0.8, 0.0))
    corpus = CorpusFolder.build(
        tmp_path / "folder",
        [Document(id=name, text=text) for name, text in TEXTS.items()],
        embedder=HashEmbedder(64),
        split=False,
    )
    made = Guard.calibrate(
        corpus.retriever(DEPTH),
        QUESTIONS,
        corpus=corpus,
        guards=[PreferenceReranker(place, dtype="float32")],
        score="reranker",
        alpha=0.2,
        novelty_level=None,
    )
    asked = "where is n7"
    again = Guard.load(tmp_path / "folder", embedder=HashEmbedder(64))
    assert [s.guard.name for s in again.pipeline.steps[:2]] == ["rerank", "conformal_retrieval"]
    assert [p.id for p in again.retrieve(asked).passages] == [p.id for p in made.retrieve(asked).passages]
    assert again.calibration is not None
    assert again.calibration.artifact.depth == DEPTH
    other = random_pair_model(max_tokens=96, seed=1)
    shutil.rmtree(place)
    save_pair_model(place, other.encoder, tokenizer=other.tokens.definition, max_tokens=96, card={})
    with pytest.raises(CalibrationMismatchError, match="weights_sha256"):
        Guard.load(tmp_path / "folder", embedder=HashEmbedder(64))


def observed(guard: PreferenceReranker) -> list[Observation]:
    questions = unresolved(as_questions(QUESTIONS))
    retriever = AdaptedRetriever(noisy, name="noisy")
    return list(observe_questions(questions, retriever, fields=Fields(), upstream=[guard]))


@pytest.mark.slow
def test_held_out_questions_are_covered_as_often_as_promised() -> None:
    many = [{"id": f"q{i}", "question": f"where is n{i}", "relevant": [f"n{i}"]} for i in range(600)]
    rng = np.random.default_rng(11)

    def store(question: str) -> list[Passage]:
        name = question.split()[-1]
        own = np.random.default_rng(int(name[1:]))
        others = [f"n{i}" for i in own.choice(600, 12, replace=False) if f"n{i}" != name][:11]
        found = [*others, name] if own.random() < 0.96 else others
        scores = sorted(own.random(len(found)), reverse=True)
        order = own.permutation(found)
        return [
            Passage(id=str(n), text=f"{n} holds", score=float(s)) for n, s in zip(order, scores, strict=True)
        ]

    observations = list(
        observe_questions(
            unresolved(as_questions(many)),
            AdaptedRetriever(store, name="store"),
            fields=Fields(),
            upstream=[reranker(weights={"relevance": 0.95, "similarity": 0.05})],
        )
    )
    promise = Promise(alpha=0.1, score="reranker", novelty_level=None, tune_share=0.2, cap=6)
    covered = []
    for _ in range(60):
        order = rng.permutation(len(observations))
        calibration = calibrate([observations[i] for i in order[:300]], promise)
        held = [observations[i] for i in order[300:]]
        covered.append(np.mean([outcome(o, calibration).coverage for o in held]))
    # Mean coverage lies in [1 - alpha, 1 - alpha + 1/(n + 1)]; the splits share one population, whose
    # finite size makes the mean of 60 splits stray by about 0.003.
    assert 0.9 - 0.012 < np.mean(covered) < 0.9 + 1 / 240 + 0.012

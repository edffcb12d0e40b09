"""The front door: calibrate any retriever, load it elsewhere, check, answer, evaluate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.config import GuardSettings, Settings
from ragguard.conformal.calibrate import Settings as Promise
from ragguard.corpus.documents import Document
from ragguard.corpus.folder import CorpusFolder
from ragguard.corpus.retrievers import AdaptedRetriever, IndexRetriever, RescoringRetriever
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    GuardError,
    InvalidScoreError,
    InvalidValueError,
    QuestionSetError,
    TargetUnattainableError,
    TooFewQuestionsError,
    UnknownPassageError,
)
from ragguard.guard import Guard
from ragguard.judgement import CUT
from ragguard.pipeline import Step
from ragguard.testing import HashEmbedder, ScriptedGenerator, ScriptedGuard
from ragguard.types import Action, Generation, Mode, OnError, Passage, Reason, Report, Stage, Turn

METALS = ["copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium"]
FACTS = ["density", "colour", "hardness", "melting point", "price"]
RECORDS = {f"{m}-{f}": f"The {f} of {m} is listed in table {m}-{f}." for m in METALS for f in FACTS}
QUESTIONS = [
    {"id": f"q {m}-{f}", "question": f"What is the {f} of {m}?", "relevant": [f"{m}-{f}"]}
    for m in METALS
    for f in FACTS
]
ASKED = "What is the hardness of nickel?"
ANSWER = "The hardness of nickel is listed in table nickel-hardness."
EMBEDDER = HashEmbedder(256)
LEXICAL = Settings(guards=(GuardSettings(use="consistency", options={"aligner": "lexical"}),))


def shared_words(question: str) -> list[tuple[str, float]]:
    words = set(question.lower().strip("?").split())
    scores = {k: len(words & set(t.lower().strip(".").split())) / len(words) for k, t in RECORDS.items()}
    return sorted(scores.items(), key=lambda pair: -pair[1])[:10]


def as_pairs(question: str) -> Any:
    return shared_words(question)


def as_passages(question: str) -> Any:
    return [Passage(id=k, text=RECORDS[k], score=s) for k, s in shared_words(question)]


def as_mappings(question: str) -> Any:
    return [
        {"id": k, "text": RECORDS[k], "score": s, "metadata": {"n": 1}} for k, s in shared_words(question)
    ]


def as_passage_pairs(question: str) -> Any:
    return [(Passage(id=k, text=RECORDS[k]), s) for k, s in shared_words(question)]


@dataclass
class LikeADocument:
    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


class LikeALangChainRetriever:
    def invoke(self, question: str) -> Any:
        return [LikeADocument(RECORDS[k], {"score": s}, k) for k, s in shared_words(question)]


def without_scores(question: str) -> Any:
    return [{"id": k, "text": RECORDS[k]} for k, _ in shared_words(question)]


def calibrated(retriever: Any = as_mappings, questions: Any = QUESTIONS, **more: Any) -> Guard:
    given: dict[str, Any] = {"alpha": 0.1, "score": "gap", "novelty_level": None}
    serve = {"settings": LEXICAL, **more.pop("serve", {})}
    return Guard.calibrate(retriever, questions, serve=serve, **{**given, **more})


def status(report: Report) -> tuple[str, str | None]:
    certificate = report.certificate()
    assert certificate is not None
    return certificate.status, certificate.voided_by


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served")
    corpus = CorpusFolder.build(path, [Document(id=k, text=t) for k, t in RECORDS.items()], embedder=EMBEDDER)
    calibrated(None, corpus=corpus)
    return path


def copied(folder: Path, to: Path) -> CorpusFolder:
    import shutil

    shutil.copytree(folder, to / "copy")
    return CorpusFolder.open(to / "copy", embedder=HashEmbedder(256))


# Any retriever


@pytest.mark.parametrize(
    "retriever",
    [as_pairs, as_passages, as_mappings, as_passage_pairs, LikeALangChainRetriever(), AdaptedRetriever(as_pairs)],
    ids=lambda r: getattr(r, "__name__", type(r).__name__),
)  # fmt: skip
def test_a_retriever_of_any_shape_is_calibrated_alike(retriever: Any) -> None:
    guard = calibrated(retriever)
    assert guard.calibration is not None
    expected = calibrated(as_mappings).calibration
    assert expected is not None
    assert guard.calibration.artifact.categories == expected.artifact.categories
    report = guard.retrieve(ASKED)
    assert report.passages[0].id == "nickel-hardness"
    assert status(report) == ("valid", None)


def test_a_retriever_without_scores_is_scored_by_the_embedder_given() -> None:
    guard = calibrated(without_scores, embedder=EMBEDDER)
    report = guard.retrieve(ASKED)
    expected = EMBEDDER.embed_passages([RECORDS["nickel-hardness"]]) @ EMBEDDER.embed_queries([ASKED])[0]
    assert report.passages[0].id == "nickel-hardness"
    assert report.passages[0].score == pytest.approx(float(expected[0]))


def test_without_an_embedder_missing_scores_are_an_error() -> None:
    with pytest.raises(InvalidScoreError, match="gave no score"):
        calibrated(without_scores)


def test_a_second_stage_is_calibrated_as_it_serves() -> None:
    class ByLength:
        def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> np.ndarray:
            return np.array([float(q.split()[-1].strip("?") in p) for q, p in pairs])

        def fingerprint(self) -> dict[str, Any]:
            return {"name": "by length"}

    guard = calibrated(RescoringRetriever(AdaptedRetriever(as_mappings), ByLength(), depth=5))
    assert guard.calibration is not None
    assert guard.calibration.artifact.depth == 5
    assert [p.score for p in guard.retrieve(ASKED).passages] == [1.0] * len(guard.retrieve(ASKED).passages)


def test_only_the_passages_kept_are_reported_with_their_text(folder: Path) -> None:
    guard = Guard.load(folder, embedder=EMBEDDER)
    assert guard.calibration is not None
    report = guard.retrieve(ASKED)
    candidates = guard.retriever(ASKED) if guard.retriever else []
    scores = guard.calibration.score(np.array([p.score for p in candidates]))
    threshold = guard.calibration.threshold("")
    assert [p.id for p in report.passages] == [
        p.id for p, s in zip(candidates, scores, strict=True) if s <= threshold
    ]
    assert 0 < len(report.passages) < len(candidates)
    assert all(p.text == RECORDS[p.id] for p in report.passages)


# What cannot be calibrated


@pytest.mark.parametrize(
    ("questions", "error"),
    [
        ([], TooFewQuestionsError),
        (QUESTIONS[:5], TooFewQuestionsError),
        ([{"id": "q", "question": "Gibberish zyzzyva?", "relevant": "no list"}], QuestionSetError),
        ([{"id": "q", "question": "  ", "relevant": []}], QuestionSetError),
        ([{"question": "Zyzzyva?", "relevant": []}], QuestionSetError),
        (["Zyzzyva?"], QuestionSetError),
        ([QUESTIONS[0], QUESTIONS[0]], QuestionSetError),
        ([{"id": "q", "question": "Zyzzyva?"}], QuestionSetError),
        ([{**q, "relevant": ["nowhere"]} for q in QUESTIONS], TargetUnattainableError),
    ],
)
def test_questions_that_cannot_be_used_are_named_without_their_text(
    questions: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        calibrated(questions=questions)
    assert "yzzyva" not in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0}, {"alpha": 1}, {"alpha": float("nan")}, {"promise": Promise()}, {"alhpa": 0.1}, {"score": "best"}],
)  # fmt: skip
def test_a_promise_that_cannot_be_made_is_a_configuration_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        calibrated(**options)


def test_there_must_be_something_to_calibrate() -> None:
    with pytest.raises(ConfigurationError, match="no retriever"):
        Guard.calibrate(None, QUESTIONS)


def test_an_id_unknown_to_the_index_is_an_error(folder: Path) -> None:
    corpus = CorpusFolder.open(folder, embedder=EMBEDDER)
    questions = [*QUESTIONS, {"id": "last", "question": "Which?", "relevant": ["nowhere"]}]
    with pytest.raises(UnknownPassageError, match="nowhere"):
        calibrated(IndexRetriever(corpus.index, EMBEDDER), questions)


# Elsewhere


def test_what_is_saved_serves_alike_elsewhere(tmp_path: Path) -> None:
    guard = calibrated()
    guard.save(tmp_path)
    again = Guard.load(tmp_path, as_mappings)
    for question in (ASKED, "Who painted the Mona Lisa?"):
        ours, theirs = guard.retrieve(question), again.retrieve(question)
        assert (ours.turn, ours.certificates) == (theirs.turn, theirs.certificates)


def test_a_folder_serves_alike_when_loaded(folder: Path) -> None:
    guard = Guard.load(
        folder, embedder=HashEmbedder(256), generator=ScriptedGenerator(ANSWER), settings=LEXICAL
    )
    report = guard.answer(ASKED)
    assert (report.text, status(report)) == (ANSWER, ("valid", None))


def test_nothing_to_save_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no calibration"):
        Guard(None, as_mappings).save(tmp_path)


def test_another_embedder_is_refused_by_name(folder: Path) -> None:
    corpus = CorpusFolder.open(folder, embedder=EMBEDDER)
    with pytest.raises(CalibrationMismatchError, match=r"embedder.*'hash'.*'other'"):
        Guard.load(folder, embedder=HashEmbedder(256, name="other"))
    calibration = Guard.load(folder, embedder=EMBEDDER).calibration
    with pytest.raises(CalibrationMismatchError, match=r"embedder\.name"):
        Guard(calibration, IndexRetriever(corpus.index, HashEmbedder(256, name="other")))


def test_another_depth_or_rewriter_or_retriever_is_refused_by_name(folder: Path) -> None:
    corpus = CorpusFolder.open(folder, embedder=EMBEDDER)
    with pytest.raises(CalibrationMismatchError, match="depth was 1000, is 7"):
        Guard.load(folder, corpus.retriever(7))
    with pytest.raises(CalibrationMismatchError, match="rewriter was None"):
        Guard.load(folder, embedder=EMBEDDER, rewriter=lambda q, h: q)
    with pytest.raises(CalibrationMismatchError, match="retriever"):
        Guard(calibrated(as_mappings).calibration, as_pairs)
    with pytest.raises(CalibrationMismatchError, match="orientation"):
        Guard(calibrated(as_pairs).calibration, AdaptedRetriever(as_pairs, lower_is_better=True))


def test_the_rewriter_calibrated_is_accepted() -> None:
    def rewriter(question: str, history: Any) -> str:
        return f"{question} {history[0].text}"

    guard = calibrated(rewriter=rewriter)
    assert Guard(guard.calibration, as_mappings, rewriter=rewriter).retrieve(ASKED).passages
    report = guard.check(
        Turn(question="What is the hardness of", history=[{"role": "user", "text": "nickel?"}])
    )
    assert report.passages[0].id == "nickel-hardness"


def test_a_corpus_changed_a_little_is_served_degraded_with_the_counts(folder: Path, tmp_path: Path) -> None:
    corpus = copied(folder, tmp_path)
    corpus.index.add([Passage(id="new", text="The price of gold is high.")])
    corpus.index.delete(["copper-price"])
    report = Guard.load(tmp_path / "copy", embedder=EMBEDDER).retrieve(ASKED)
    assert status(report) == ("degraded", None)
    certificate = report.certificate()
    assert certificate is not None
    assert any("1 passages added, 1 removed" in note for note in certificate.notes)


def test_a_corpus_changed_too_much_is_refused_with_the_counts(folder: Path, tmp_path: Path) -> None:
    corpus = copied(folder, tmp_path)
    corpus.index.delete([key for key in RECORDS if key.startswith("copper")])
    with pytest.raises(CalibrationMismatchError, match="0 added, 5 removed"):
        Guard.load(tmp_path / "copy", embedder=EMBEDDER)


# Guards inside the calibrated map


def shield(*dropped: str) -> ScriptedGuard:
    def deed(turn: Turn, _: Stage) -> Turn:
        return turn.replace(passages=[p for p in turn.passages or () if p.id not in dropped])

    return ScriptedGuard(Stage.PASSAGES, does=deed, name="shield")


def test_what_an_upstream_guard_drops_counts_as_missed() -> None:
    guard = calibrated(guards=[shield("nickel-hardness")], alpha=0.2)
    plain = calibrated(alpha=0.2)
    assert guard.calibration is not None
    assert plain.calibration is not None
    assert guard.calibration.artifact.categories[""].unreachable == 1
    assert plain.calibration.artifact.categories[""].unreachable == 0
    assert guard.calibration.artifact.upstream == ("shield",)


def test_the_certificate_covers_an_upstream_guard() -> None:
    report = calibrated(guards=[shield("nickel-price")]).retrieve("What is the price of nickel?")
    certificate = report.certificate()
    assert certificate is not None
    assert (certificate.status, certificate.covers) == ("valid", ("shield",))
    assert [v.guard for v in report.verdicts] == ["shield", "conformal_retrieval"]
    assert "nickel-price" not in {p.id for p in report.passages}


def test_serving_without_an_upstream_guard_is_refused() -> None:
    calibration = calibrated(guards=[shield()]).calibration
    for guards in ((), [Step(shield(), mode=Mode.SHADOW)]):
        with pytest.raises(CalibrationMismatchError, match="shield"):
            Guard(calibration, as_mappings, guards=guards)
    assert Guard(calibration, as_mappings, guards=[shield()]).retrieve(ASKED).passages


def test_a_guard_of_the_same_name_that_cannot_say_what_it_is_is_not_the_one_calibrated() -> None:
    class Telling(ScriptedGuard):
        def fingerprint(self) -> dict[str, Any]:
            return {"drops": "nothing"}

    known = Telling(Stage.PASSAGES, does=lambda turn, _: turn, name="shield")
    calibration = calibrated(guards=[known]).calibration
    assert Guard(calibration, guards=[known]).calibration is calibration
    with pytest.raises(CalibrationMismatchError, match="upstream"):
        Guard(calibration, guards=[shield()])


def test_a_guard_calibrated_in_shadow_is_outside_the_map() -> None:
    guard = calibrated(guards=[Step(shield("nickel-hardness"), mode=Mode.SHADOW)])
    assert guard.calibration is not None
    assert guard.calibration.artifact.upstream == ()
    assert guard.calibration.artifact.categories[""].unreachable == 0


def test_a_passage_guard_added_after_calibration_voids_the_promise_when_it_drops() -> None:
    calibration = calibrated().calibration
    guard = Guard(calibration, as_mappings, guards=[shield("nickel-hardness")])
    assert status(guard.retrieve(ASKED)) == ("void", "shield")
    assert status(guard.retrieve("What is the price of cobalt?")) == ("valid", None)


@pytest.mark.parametrize(
    "settings",
    [
        {"settings": Settings(retrieval=GuardSettings(use="conformal_retrieval", on_error=OnError.PASS))},
        {"settings": Settings(retrieval=GuardSettings(use="conformal_retrieval", mode=Mode.SHADOW))},
        {"guards": [ScriptedGuard(Stage.QUESTION, Stage.PASSAGES, name="reads")]},
    ],
)
def test_whoever_may_see_a_passage_that_is_not_kept_finds_its_text(folder: Path, settings: Any) -> None:
    watch = ScriptedGuard(Stage.PASSAGES, name="watch")
    guards = [*settings.pop("guards", ()), watch]
    guard = Guard.load(folder, embedder=EMBEDDER, guards=guards, **settings)
    guard.retrieve(ASKED)
    seen = [t for g in guards for _, t in g.seen if t.passages is not None]
    assert seen
    assert all(p.text for turn in seen for p in turn.passages or ())


# Turns made elsewhere


def test_a_turn_with_scored_passages_of_its_own_is_cut() -> None:
    guard = calibrated(as_passages)
    candidates = tuple(as_passages(ASKED))
    report = guard.check(Turn(question=ASKED, passages=candidates, answer=ANSWER))
    assert report.passages == guard.retrieve(ASKED).passages
    assert (report.text, status(report)) == (ANSWER, ("valid", None))


def test_fewer_candidates_than_in_calibration_degrade_the_promise() -> None:
    report = calibrated().check(Turn(question=ASKED, passages=as_passages(ASKED)[:3]))
    assert status(report) == ("degraded", None)


def test_passages_without_scores_are_kept_and_promised_nothing() -> None:
    elsewhere = (Passage(id="x", text=ANSWER), Passage(id="y", text="Bridges are long."))
    good = calibrated().check(Turn(question=ASKED, passages=elsewhere, answer=ANSWER))
    assert (good.passages, good.text, good.degraded) == (elsewhere, ANSWER, False)
    certificate = good.certificate()
    assert certificate is not None
    assert (certificate.status, certificate.artifact, certificate.alpha) == ("none", None, None)
    assert "did not come through the calibrated retriever" in certificate.statement
    bad = calibrated().check(Turn(question=ASKED, passages=elsewhere, answer="Elephants are pink."))
    assert (bad.action, bad.reason) == (Action.REFUSE, Reason.UNSUPPORTED_ANSWER)


@pytest.mark.parametrize("policy", OnError)
def test_scores_on_some_passages_alone_are_a_failure(policy: OnError) -> None:
    settings = LEXICAL.model_copy(
        update={"retrieval": GuardSettings(use="conformal_retrieval", on_error=policy)}
    )
    some = (Passage(id="x", text=ANSWER, score=1.0), Passage(id="y", text=ANSWER))
    guard = Guard(calibrated().calibration, settings=settings)
    report = guard.check(Turn(question=ASKED, passages=some, answer=ANSWER))
    assert report.action.value == policy.value
    assert report.verdicts[0].error is not None
    assert report.verdicts[0].error.code == "invalid_score"
    assert (report.certificates, report.degraded) == ((), policy is OnError.PASS)


def test_no_passage_at_all_is_no_evidence() -> None:
    report = calibrated().check(Turn(question=ASKED, passages=(), answer=ANSWER))
    assert (report.action, report.reason) == (Action.ABSTAIN, Reason.NO_EVIDENCE)


# A turn is cut once


def test_a_retrieved_turn_checked_with_its_answer_is_not_cut_again() -> None:
    guard = calibrated()
    first = guard.retrieve(ASKED)
    second = guard.check(first.turn.replace(answer=ANSWER))
    assert second.passages == first.passages
    assert second.certificate() == first.certificate()
    assert (second.text, second.verdicts[0].action) == (ANSWER, Action.PASS)


def test_the_cut_is_remembered_through_json() -> None:
    guard = calibrated()
    first = guard.retrieve(ASKED)
    turn = Turn.model_validate_json(first.turn.replace(answer=ANSWER).model_dump_json())
    assert guard.check(turn).certificate() == first.certificate()


def test_a_passage_lost_since_the_cut_voids_the_promise() -> None:
    guard = calibrated()
    turn = guard.retrieve(ASKED).turn
    assert status(guard.check(turn.replace(passages=turn.passages[1:] if turn.passages else ()))) == (
        "void",
        "passages removed after the cut",
    )


def test_a_passage_added_since_the_cut_voids_nothing() -> None:
    guard = calibrated()
    turn = guard.retrieve(ASKED).turn
    more = (*(turn.passages or ()), Passage(id="more", text="More."))
    assert status(guard.check(turn.replace(passages=more))) == ("valid", None)


@pytest.mark.parametrize("change", [{"question": "What is the price of cobalt?"}, {"standalone": "What?"}])
def test_the_cut_of_another_question_is_none(change: dict[str, str]) -> None:
    guard = calibrated()
    report = guard.check(guard.retrieve(ASKED).turn.replace(**change))
    assert status(report) == ("degraded", None), "candidates of another question, and too few"


def test_the_cut_of_another_calibration_is_none() -> None:
    turn = calibrated(alpha=0.2).retrieve(ASKED).turn
    assert status(calibrated().check(turn)) == ("degraded", None)


def test_what_voided_a_promise_stays_when_the_turn_is_checked_again() -> None:
    calibration = calibrated().calibration
    generator = ScriptedGenerator(Generation(text=ANSWER, read=()))
    budget = Guard(calibration, as_mappings, generator=generator)
    dropped = Guard(calibration, as_mappings, guards=[shield("nickel-hardness")])
    for guard, by in ((budget, "the generator's budget"), (dropped, "shield")):
        report = guard.answer(ASKED) if guard is budget else guard.retrieve(ASKED)
        assert status(report) == ("void", by)
        assert status(guard.check(report.turn)) == ("void", by)


def test_a_question_turned_away_is_turned_away_again() -> None:
    guard = calibrated(novelty_level=0.1)
    first = guard.retrieve("Who painted the Mona Lisa?")
    assert first.reason is Reason.NO_EVIDENCE
    assert guard.check(first.turn.replace(answer=ANSWER)).reason is Reason.NO_EVIDENCE


def test_a_client_cannot_pass_the_cut_by_its_metadata() -> None:
    guard = calibrated()
    mark = {CUT: {**guard.retrieve(ASKED).turn.metadata[CUT], "kept": []}}
    honest = guard.retrieve(ASKED).passages
    assert guard.retrieve(ASKED, metadata=mark).passages == honest
    serving = Guard(guard.calibration, as_mappings, generator=ScriptedGenerator(ANSWER))
    assert serving.answer(ASKED, metadata=mark).passages == honest


# Answering


def test_an_answer_needs_a_retriever_and_a_generator() -> None:
    for guard in (calibrated(), Guard(None, generator=ScriptedGenerator(ANSWER))):
        with pytest.raises(ConfigurationError, match="retriever and a generator"):
            guard.answer(ASKED)


@pytest.mark.parametrize("question", ["", " \n"])
async def test_an_empty_question_is_an_error(question: str) -> None:
    guard = calibrated(serve={"generator": ScriptedGenerator(ANSWER)})
    with pytest.raises(InvalidValueError, match="empty"):
        guard.answer(question)
    with pytest.raises(InvalidValueError, match="empty"):
        await guard.aanswer(question)
    with pytest.raises(InvalidValueError, match="is a string"):
        guard.answer(5)  # type: ignore[arg-type]


def test_without_a_calibration_nothing_is_cut_or_promised() -> None:
    report = Guard(None, as_mappings, generator=ScriptedGenerator(ANSWER), settings=LEXICAL).answer(ASKED)
    assert (len(report.passages), report.certificates, report.text) == (10, (), ANSWER)


class LikeAChatModel:
    def invoke(self, prompt: str) -> Any:
        return type("Message", (), {"content": ANSWER})()


@pytest.mark.parametrize("generator", [LikeAChatModel(), lambda q, p: ANSWER, ScriptedGenerator(ANSWER)])
async def test_a_generator_of_any_shape_answers(generator: Any) -> None:
    guard = calibrated(serve={"generator": generator})
    assert guard.answer(ASKED).text == (await guard.aanswer(ASKED)).text == ANSWER


async def test_an_asynchronous_generator_answers() -> None:
    async def generator(question: str, passages: Sequence[Passage]) -> str:
        await asyncio.sleep(0)
        return ANSWER

    guard = calibrated(serve={"generator": generator})
    reports = await asyncio.gather(*(guard.aanswer(ASKED) for _ in range(20)))
    assert {r.text for r in reports} == {ANSWER}


# Weights, groups and settings


def test_a_weighted_calibration_asks_for_the_weight_of_each_question() -> None:
    def weight(question: str) -> float:
        return 2.0 if "nickel" in question else 1.0

    guard = calibrated(weight=weight, weighting="exact", alpha=0.2)
    assert guard.calibration is not None
    assert guard.calibration.artifact.weighting == "exact"
    for question in (ASKED, "What is the price of cobalt?"):
        report = guard.retrieve(question)
        threshold = guard.calibration.threshold("", weight=weight(question))
        assert report.verdicts[0].threshold == threshold
    with pytest.raises(GuardError, match="weight"):
        Guard(guard.calibration, as_mappings)


def test_each_group_has_its_threshold_and_an_unseen_one_none() -> None:
    questions = [{**q, "group": "even" if i % 2 else "odd"} for i, q in enumerate(QUESTIONS)]
    guard = calibrated(questions=questions, grouped=True)
    seen = guard.retrieve(ASKED, metadata={"group": "even"}).certificate()
    assert seen is not None
    assert (seen.status, seen.group, seen.n) == ("valid", "even", 20)
    report = guard.retrieve(ASKED, metadata={"group": "never"})
    assert (report.action, report.reason, report.passages) == (Action.ABSTAIN, Reason.UNSEEN_GROUP, ())


def test_settings_say_how_to_serve() -> None:
    settings = Settings(guards=(), messages={"no_evidence": "Ask the library."})
    guard = Guard(calibrated(novelty_level=0.1).calibration, as_mappings, settings=settings)
    assert guard.retrieve("Who painted the Mona Lisa?").text == "Ask the library."
    assert guard.check(Turn(question=ASKED, passages=as_passages(ASKED), answer="Pink.")).text == "Pink."


# Evaluating


def by_hand(guard: Guard, retrieve: Callable[[str], Any], target: str) -> dict[str, float]:
    """The same figures, counted over `Guard.retrieve`."""
    covered, kept, tokens = [], [], []
    for question in QUESTIONS:
        found = {p.id: p for p in guard.retrieve(str(question["question"])).passages}
        hits = [r in found for r in question["relevant"]]
        covered.append(float({"any": any(hits), "all": all(hits), "recall": np.mean(hits)}[target]))
        kept.append(len(found))
        tokens.append(sum(len(EMBEDDER.token_spans(p.text)) for p in found.values()))
    return {
        "coverage": float(np.mean(covered)),
        "mean_passages": float(np.mean(kept)),
        "mean_tokens": float(np.mean(tokens)),
    }


@pytest.mark.parametrize("target", ["any", "all", "recall"])
@pytest.mark.parametrize("score", ["softmax", "cosine", "gap", "ratio", "rank"])
def test_evaluation_counts_what_serving_does(folder: Path, target: str, score: str) -> None:
    corpus = CorpusFolder.open(folder, embedder=EMBEDDER)
    guard = calibrated(corpus.retriever(), target=target, score=score, alpha=0.2)
    measured = guard.evaluate(QUESTIONS)
    expected = by_hand(guard, guard.retriever, target) if guard.retriever else {}
    assert {key: measured[key] for key in expected} == pytest.approx(expected)
    assert (measured["n"], measured["target"], measured["score"]) == (40, target, score)
    low, high = measured["coverage_ci"]
    assert low <= measured["coverage"] <= high


def test_evaluation_runs_through_the_upstream_guards() -> None:
    guard = calibrated(guards=[shield("nickel-hardness")], alpha=0.2)
    clear = calibrated(alpha=0.2)
    assert guard.evaluate(QUESTIONS[12:13])["coverage"] == 0.0
    assert clear.evaluate(QUESTIONS[12:13])["coverage"] == 1.0


def test_evaluation_needs_a_calibration_and_a_retriever() -> None:
    with pytest.raises(ConfigurationError):
        Guard(None, as_mappings).evaluate(QUESTIONS)
    with pytest.raises(ConfigurationError):
        Guard(calibrated().calibration).evaluate(QUESTIONS)

"""The trained aligner on a model that says what a test wants, and on one with random weights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.chunks import seen_share
from ragguard.alignment.claims import split_claims
from ragguard.alignment.combiner import Combiner, plain_combiner
from ragguard.alignment.features import MODEL_FEATURES
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.errors import InvalidValueError, ScoringError, UnreadableFileError
from ragguard.models.pair_engine import PairEngine
from ragguard.models.pair_model import save_pair_model
from ragguard.pipeline import Pipeline, Step
from ragguard.protocols import FloatArray
from ragguard.stream import StreamGate
from ragguard.types import Action, Claim, Evidence, OnError, Passage, Reason, Span, Stage, Turn, Verdict
from tests.alignment.word_engine import Says, WordEngine, by_words, keyed
from tests.models.random_models import random_pair_model

PASSAGES = (
    Passage(
        id="bridge", text="The bridge opened in 1978. It is 300 metres long. A flood closed it in spring."
    ),
    Passage(id="acme", text="Ada founded Acme. Acme is based in Oslo."),
)
SUPPORTS = Combiner(
    ("chunk_entailed", "together_entailed", "no_conflict", "owner_holds"),
    ((-6.0, 6.0), (-6.0, 6.0), (0.5, 1.0), (0.5, 1.0)),
    ((4.0,), (12.0,), (16.0,), (16.0,)),
    -40.0,
    {"balanced": 0.5},
)
"""Reads the joined sentences too, and lets a conflict that a check finds count."""


def aligner_of(says: Says = by_words, *, combiner: Combiner = SUPPORTS, **options: Any) -> AlignmentAligner:
    return AlignmentAligner(engine=WordEngine(says), combiner=combiner, **options)


def judged(
    aligner: AlignmentAligner, answer: str, passages: Sequence[Passage] = PASSAGES, question: str = ""
) -> list[Evidence]:
    return aligner.align(split_claims(answer), passages, question=question)


def quoted(found: Evidence, passages: Sequence[Passage]) -> list[str]:
    texts = {p.id: p.text for p in passages}
    return [texts[q.passage_id][q.span.start : q.span.end] for q in found.quotations]


def test_a_fact_at_the_end_of_a_sentence_of_2000_words_is_found() -> None:
    cells = " ".join(f"cell{i} {i * 7}" for i in range(990))
    passage = Passage(id="table", text=f"{cells} and the secret code word is zebra")
    aligner = aligner_of(keyed("zebra"))
    claims = split_claims("The secret code word is zebra.")
    reading = aligner.read(claims, [passage])
    (found,) = aligner.judge(reading, claims, [passage])
    assert found.outcome == "supported"
    assert found.span is not None
    assert found.span.start > len(passage.text) * 0.9
    assert "zebra" in passage.text[found.span.start : found.span.end]
    assert seen_share([passage], reading.claims[0].source.chunks) == 1.0
    assert aligner.engine.cut == 0  # type: ignore[attr-defined]


def test_an_answer_goes_to_the_engine_in_one_call() -> None:
    texts = ("It is 300 metres long.", "Ada founded Acme.", "Copper is red.", "Oslo is a town.")
    passages = [
        Passage(id=f"p{i}", text=f"The bridge {i} opened in {1970 + i}. {texts[i % 4]}") for i in range(8)
    ]
    aligner = aligner_of()
    answer = " ".join(f"The bridge {i} opened in {1970 + i}." for i in range(6))
    assert len(judged(aligner, answer, passages)) == 6
    assert len(aligner.engine.calls) == 1  # type: ignore[attr-defined]


LONG = "The list names " + ", ".join(f"record {i} about bridges" for i in range(30)) + "."
STANDALONE = [
    "The bridge opened in 1978.",
    "Ada founded Acme.",
    "Acme is based in Oslo.",
    "A flood closed the bridge.",
]


@pytest.fixture(scope="module")
def random_model() -> Any:
    return random_pair_model(max_tokens=256)


@pytest.mark.parametrize("batch_tokens", [300, 4096])
def test_a_claim_is_judged_alike_whoever_stands_beside_it(random_model: Any, batch_tokens: int) -> None:
    def scores(sentences: Sequence[str]) -> dict[str, tuple[float | None, str]]:
        engine = PairEngine(random_model, dtype="float32", batch_tokens=batch_tokens, cache_size=0)
        found = judged(AlignmentAligner(engine=engine), " ".join(sentences))
        return {e.claim.text: (e.score, e.outcome) for e in found if e.claim}

    order = [*STANDALONE, LONG]
    random.Random(0).shuffle(order)
    together, shuffled = scores([*STANDALONE, LONG]), scores(order)
    for sentence in STANDALONE:
        (alone, outcome) = scores([sentence])[sentence]
        for other in (together, shuffled):
            assert other[sentence][0] == pytest.approx(alone, abs=1e-5)
            assert other[sentence][1] == outcome


@pytest.mark.parametrize(
    "passages", [[], [Passage(id="a", text="")], [Passage(id="a", text="\n"), Passage(id="b", text=" ")]]
)
def test_without_a_passage_to_read_a_claim_is_unverifiable_and_no_model_is_asked(
    passages: list[Passage],
) -> None:
    aligner = aligner_of()
    (found,) = judged(aligner, "The bridge opened in 1978.", passages)
    assert (found.outcome, found.score, found.quotations) == ("unverifiable", 0.0, ())
    assert aligner.engine.calls == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["", "  \n", "…"])
def test_a_claim_without_words_is_unverifiable(text: str) -> None:
    claim = Claim(text=text, span=Span(start=0, end=len(text)))
    for question in ("", "Did the bridge open in 1978?"):
        (found,) = aligner_of(lambda s, c: (9.0, -9.0)).align([claim], PASSAGES, question=question)
        assert (found.outcome, found.score) == ("unverifiable", 0.0)


def test_no_claims_give_no_evidence() -> None:
    assert aligner_of().align([], PASSAGES) == []
    assert aligner_of().read_many([]) == []


def test_of_ten_sentences_the_one_lie_fails_at_its_figure() -> None:
    facts = [
        f"The {part} of the harbour was painted by {who}."
        for part, who in (
            ("north pier", "Ada"),
            ("south pier", "Bo"),
            ("crane", "Cy"),
            ("tower", "Di"),
            ("gate", "Ed"),
            ("lamp", "Flo"),
            ("wall", "Gus"),
            ("roof", "Hal"),
            ("clock", "Ivy"),
        )
    ]
    source = Passage(id="harbour", text=" ".join([*facts[:5], "The bridge opened in 1978.", *facts[5:]]))
    lie = "The bridge opened in 1987."
    answer = " ".join([*facts[:4], lie, *facts[4:]])
    found = judged(aligner_of(), answer, [source])
    failed = [e for e in found if e.outcome != "supported"]
    assert [e.claim.text for e in failed if e.claim] == [lie]
    (one,) = failed
    assert one.outcome == "contradicted"
    assert one.failing is not None
    assert answer[one.failing.start : one.failing.end] == "1987"
    assert quoted(one, [source]) == ["The bridge opened in 1978."]
    turn = Turn(question="What about the harbour?", passages=(source,), answer=answer)
    verdict = ConsistencyGuard(aligner_of()).check(turn, Stage.ANSWER)
    assert (verdict.action, verdict.reason) == (Action.REFUSE, Reason.CONTRADICTED_ANSWER)
    assert np.mean([e.score or 0.0 for e in found]) > 0.85, "the mean alone would hide it"


def far_apart() -> list[Passage]:
    between = [Passage(id=f"p{i}", text=f"Record {i} is about copper and its price.") for i in range(38)]
    return [
        Passage(id="first", text="Ada founded Acme."),
        *between,
        Passage(id="last", text="Acme is based in Oslo."),
    ]


def test_a_claim_whose_halves_stand_in_two_passages_is_supported_by_both() -> None:
    (found,) = judged(aligner_of(keyed("Ada", "Oslo")), "The company of Ada is Acme of Oslo.", far_apart())
    assert found.outcome == "supported"
    assert {q.passage_id for q in found.quotations} == {"first", "last"}


def test_passages_beside_the_point_change_and_lift_nothing(random_model: Any) -> None:
    more = [
        Passage(id=f"x{i}", text=f"Whales number {i + 2000} swim far. They sing {'la' * i}.")
        for i in range(100)
    ]
    engine = PairEngine(random_model, dtype="float32")
    for aligner in (aligner_of(), AlignmentAligner(engine=engine)):
        answer = "The bridge opened in 1978. Ada founded Acme. Acme sold the bridge."
        few, crowded = judged(aligner, answer), judged(aligner, answer, [*PASSAGES, *more])
        for one, other in zip(few, crowded, strict=True):
            assert other.score == pytest.approx(one.score, abs=0.05)
            assert (other.outcome, other.quotations) == (one.outcome, one.quotations)


@pytest.mark.parametrize(
    "claim",
    ["Dino bought Rex.", "Rex bought Dino before its chair resigned.", "Rex's chair resigned."],
)
def test_the_same_words_with_another_meaning_are_not_supported(claim: str) -> None:
    source = Passage(
        id="deal", text="Rex bought Dino in 2019 after Dino's chair resigned; Dino did not buy Rex."
    )
    (found,) = judged(aligner_of(lambda s, c: (9.0, -9.0)), claim, [source])
    assert found.outcome != "supported"
    (found,) = judged(aligner_of(lambda s, c: (9.0, -9.0)), source.text, [source])
    assert found.outcome == "supported"


def test_sentences_of_an_answer_are_judged_in_their_places() -> None:
    answer = "Dr. Smith et al. (2020) paid $3.5 million to U.S. Corp. in Jan. 2021. He left."
    aligner = aligner_of()
    found = judged(aligner, answer, [Passage(id="a", text=answer)])
    claims = [e.claim for e in found if e.claim]
    assert [answer[c.span.start : c.span.end] for c in claims] == [c.text for c in claims]
    assert len(claims) == 2
    assert any(claim.endswith("Jan. 2021. He left.") for _, claim in aligner.engine.calls[0])  # type: ignore[attr-defined]


class Noted(ConsistencyGuard):
    """A guard that keeps its verdicts."""

    def __init__(self, aligner: AlignmentAligner) -> None:
        super().__init__(aligner)
        self.verdicts: list[Verdict] = []

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        self.verdicts.append(super().check(turn, stage))
        return self.verdicts[-1]


def test_a_stream_in_pieces_of_three_characters_is_judged_like_the_whole() -> None:
    answer = (
        "Dr. Ada founded Acme. It is based in Oslo, e.g. by the river. The bridge opened in 1978. "
        "It is 300 metres long. A flood closed it in spring."
    )
    passages = (
        *PASSAGES,
        Passage(id="dr", text="Dr. Ada founded Acme. Acme is based in Oslo, e.g. by the river."),
    )
    turn = Turn(question="What is known?", passages=passages)
    guard = Noted(aligner_of())
    gate = StreamGate([guard], turn)
    shown = [gate.push(answer[i : i + 3]) for i in range(0, len(answer), 3)]
    report = gate.finish()
    batch = Pipeline([ConsistencyGuard(aligner_of())]).check(turn.replace(answer=answer))
    assert batch.action is Action.PASS
    assert (report.action, gate.released) == (batch.action, answer)
    whole = batch.verdicts[0].evidence
    assert report.verdicts[0].evidence == whole
    assert not {"Dr. ", "It is based in Oslo, e.g. "} & set(shown), "an abbreviation does not end a sentence"
    assert sum(map(bool, shown)) >= 3, "sentences come out one by one"
    for verdict in guard.verdicts:
        assert verdict.evidence == whole[: len(verdict.evidence)], "a part is judged as in the whole"


class Killed(WordEngine):
    def logits(self, pairs: Any) -> FloatArray:
        raise ScoringError("the back end failed (RuntimeError)")


@pytest.mark.parametrize("policy", OnError)
async def test_a_back_end_that_dies_is_resolved_by_the_failure_policy(policy: OnError) -> None:
    guard = ConsistencyGuard(AlignmentAligner(engine=Killed()))
    turn = Turn(question="When?", passages=PASSAGES, answer="The bridge opened in 1978.")
    pipeline = Pipeline([Step(guard, on_error=policy)])
    for report in (pipeline.check(turn), await pipeline.acheck(turn)):
        verdict = report.verdicts[0]
        assert (verdict.action.value, verdict.score, verdict.evidence) == (policy.value, None, ())
        assert verdict.error is not None
        assert (verdict.error.type, verdict.error.code) == ("ScoringError", "scoring")
        assert report.released == (policy is OnError.PASS) == report.degraded


class Infinite(Combiner):
    def scores(self, features: Any) -> Any:
        return np.full(len(features), np.nan)


def test_a_score_that_is_no_number_is_an_error() -> None:
    plain = plain_combiner()
    broken = Infinite(plain.names, plain.knots, plain.rises, plain.intercept, plain.thresholds)
    with pytest.raises(ScoringError):
        judged(aligner_of(combiner=broken), "The bridge opened in 1978.")


# Early exit


class Random(WordEngine):
    """Logits by a seed and the texts, the same for the same pair."""

    def __init__(self, seed: int, spread: float) -> None:
        super().__init__(lambda source, claim: _drawn(seed, spread, source, claim))


def _drawn(seed: int, spread: float, source: str, claim: str) -> tuple[float, float]:
    rng = random.Random(f"{seed} {source} {claim}")
    return rng.gauss(0, spread), rng.gauss(-2, spread)


@st.composite
def combiners(draw: st.DrawFn) -> Combiner:
    known = (*MODEL_FEATURES, "words", "no_conflict")
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=6, unique=True))
    knots = tuple(
        (-9.0, 0.0, 9.0) if "entailed" in name or "aligned" in name else (-6.0, 0.5, 3.0) for name in names
    )
    rises = tuple(tuple(draw(st.lists(st.floats(0, 4), min_size=2, max_size=2))) for _ in names)
    return Combiner(
        tuple(names), knots, rises, draw(st.floats(-12, 2)), {"balanced": draw(st.floats(0.02, 0.95))}
    )


ANSWER = (
    "The bridge opened in 1978. It is 400 metres long. Ada founded Acme. Whales sing. "
    "Acme is based in Rome. A flood closed the bridge of Acme in Oslo."
)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 4.0, 12.0]), combiners())
def test_an_early_exit_never_changes_a_verdict(seed: int, spread: float, combiner: Combiner) -> None:
    full = AlignmentAligner(engine=Random(seed, spread), combiner=combiner)
    early = AlignmentAligner(engine=Random(seed, spread), combiner=combiner, early_exit=True)
    whole, soon = (judged(a, ANSWER, far_apart()[:6] + list(PASSAGES)) for a in (full, early))
    assert [e.outcome for e in soon] == [e.outcome for e in whole]
    assert [e.quotations for e in soon] == [e.quotations for e in whole]
    threshold = full.default_threshold
    for one, other in zip(soon, whole, strict=True):
        assert one.score is not None
        assert other.score is not None
        assert (one.score > threshold) == (other.score > threshold)
        if "bound" in one.note:
            assert (one.score <= other.score) if "lower" in one.note else (one.score >= other.score)
        else:
            assert one.score == other.score


def test_an_early_exit_scores_fewer_pairs(random_model: Any) -> None:
    engines = [PairEngine(random_model, dtype="float32", cache_size=0) for _ in range(2)]
    sure = Combiner(
        ("sentence_entailed", "chunk_entailed"),
        ((-12.0, 12.0),) * 2,
        ((20.0,), (0.1,)),
        -10.0,
        {"balanced": 0.5},
    )
    passages = [Passage(id=f"p{i}", text=f"The bridge {i} opened in spring. " * 12) for i in range(8)]
    outcomes = []
    for engine, early in zip(engines, (False, True), strict=True):
        aligner = AlignmentAligner(engine=engine, combiner=sure, early_exit=early)
        outcomes.append([e.outcome for e in judged(aligner, "The bridge 3 opened in spring.", passages)])
    assert outcomes[0] == outcomes[1]
    assert engines[1].stats.scored < engines[0].stats.scored


def test_a_guard_with_a_threshold_of_its_own_is_not_passed_by_a_bound() -> None:
    def says(source: str, claim: str) -> tuple[float, float]:
        return (-4.0, -8.0)

    weak = Combiner(
        ("sentence_entailed", "chunk_entailed"),
        ((-12.0, 12.0),) * 2,
        ((6.0,), (8.0,)),
        -10.0,
        {"balanced": 0.9},
    )
    turn = Turn(question="When?", passages=PASSAGES, answer="The bridge opened in 1978.")
    verdicts = [
        ConsistencyGuard(
            AlignmentAligner(engine=WordEngine(says), combiner=weak, early_exit=early), threshold=0.3
        ).check(turn, Stage.ANSWER)
        for early in (False, True)
    ]
    assert [v.action for v in verdicts] == [Action.REFUSE] * 2


# Settings


def test_another_threshold_is_another_aligner_on_the_same_engine() -> None:
    aligner = aligner_of()
    strict = aligner.with_threshold(0.999)
    assert (aligner.default_threshold, strict.default_threshold) == (0.5, 0.999)
    assert strict.engine is aligner.engine
    assert strict.fingerprint() != aligner.fingerprint()


@pytest.mark.parametrize("options", [{"threshold": 1.0}, {"threshold": float("nan")}, {"chunk_tokens": 5}])
def test_settings_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        aligner_of(**options)
    with pytest.raises(InvalidValueError):
        aligner_of().with_threshold(-0.1)


def test_the_combiner_is_that_of_the_models_folder(tmp_path: Path) -> None:
    model = random_pair_model()
    folder = save_pair_model(
        tmp_path / "m", model.encoder, tokenizer=model.tokens.definition, max_tokens=128, card={}
    )
    assert AlignmentAligner(folder).combiner.digest() == plain_combiner().digest()
    (folder / "combiner.json").write_text(SUPPORTS.to_json(), encoding="utf-8")
    for aligner in (AlignmentAligner(folder), AlignmentAligner(engine=PairEngine(folder))):
        assert aligner.combiner.digest() == SUPPORTS.digest()
        assert aligner.default_threshold == 0.5
    assert AlignmentAligner(engine=PairEngine(model)).combiner.digest() == plain_combiner().digest()
    (folder / "combiner.json").write_text("{", encoding="utf-8")
    with pytest.raises(UnreadableFileError):
        ConsistencyGuard(AlignmentAligner(folder))


def test_a_fingerprint_tells_readings_and_scores_apart() -> None:
    one, other = aligner_of(), aligner_of(combiner=plain_combiner())
    assert one.reading_fingerprint() == other.reading_fingerprint()
    assert one.fingerprint() != other.fingerprint()
    assert one.reading_fingerprint() != aligner_of(chunk_tokens=64).reading_fingerprint()

"""Our own parts, held to the contract that third-party parts are held to."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.claims import split_claims
from ragguard.alignment.guard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner
from ragguard.conformal.calibrate import Settings, calibrate
from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.conformal.observations import observe
from ragguard.corpus.index import PassageIndex
from ragguard.corpus.retrievers import AdaptedRetriever, IndexRetriever
from ragguard.models.embedders import SentenceTransformerEmbedder
from ragguard.models.generators import ExtractiveGenerator
from ragguard.models.pair_engine import PairEngine
from ragguard.protocols import Aligner, Embedder, Generator, Retriever, TurnGuard
from ragguard.testing import (
    AlignerContract,
    EmbedderContract,
    GeneratorContract,
    GuardContract,
    HashEmbedder,
    RetrieverContract,
    ScriptedGenerator,
    ScriptedGuard,
)
from ragguard.types import Action, Claim, Generation, Passage, Stage, Turn, Verdict
from tests.models.random_models import random_pair_model

PASSAGES = (
    Passage(id="sort", text="list.sort sorts the list in place. The sort is stable.", score=0.9),
    Passage(id="pi", text="The constant math.pi is 3.14.", score=0.5),
    Passage(id="far", text="Bridges are long.", score=0.1),
)
TURNS = [
    Turn(question="Is the sort stable?", passages=PASSAGES, answer="The sort is stable."),
    Turn(question="Is the sort stable?", passages=PASSAGES, answer="The sort is not stable. It takes 17 s."),
    Turn(question="What is pi?", passages=PASSAGES[1:], answer="I don't know.", metadata={"group": "maths"}),
]


class TestConsistencyGuard(GuardContract):
    @pytest.fixture(params=["refuse", "redact", "annotate", "regenerate"])
    def guard(self, request: pytest.FixtureRequest) -> TurnGuard:
        return ConsistencyGuard(LexicalAligner(), policy=request.param)

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return TURNS


class TestConformalRetrievalGuard(GuardContract):
    @pytest.fixture(params=["whole", "grouped", "weighted"])
    def guard(self, request: pytest.FixtureRequest) -> TurnGuard:
        rng = np.random.default_rng(0)
        observations = [
            observe(f"q{i}", ["a", "b", "c"], sorted(rng.random(3), reverse=True), ["a"], group="maths")
            for i in range(60)
        ]
        kinds: dict[str, dict[str, Any]] = {
            "whole": {},
            "grouped": {"grouped": True},
            "weighted": {"weighting": "exact"},
        }
        calibration = calibrate(observations, Settings(**kinds[request.param]))
        return ConformalRetrievalGuard(
            calibration, weight=(lambda query: 1.0) if request.param == "weighted" else None
        )

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return TURNS


class TestScriptedGuard(GuardContract):
    @pytest.fixture(params=[Action.PASS, Action.REVISE, Action.ABSTAIN, Action.REFUSE])
    def guard(self, request: pytest.FixtureRequest) -> TurnGuard:
        return ScriptedGuard(Stage.QUESTION, Stage.PASSAGES, Stage.ANSWER, does=request.param)

    @pytest.fixture
    def turns(self) -> list[Turn]:
        return TURNS


class TestHashEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return HashEmbedder()

    @pytest.fixture
    def texts(self) -> list[str]:
        return ["The sort is stable.", "math.pi", "Brücken — 橋"]


@pytest.fixture(scope="module")
def bundled() -> Embedder:
    return SentenceTransformerEmbedder()


class TestSentenceTransformerEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, bundled: Embedder) -> Embedder:
        return bundled

    @pytest.fixture
    def texts(self) -> list[str]:
        return ["The sort is stable.", "math.pi", "Brücken — 橋"]


class TestLexicalAligner(AlignerContract):
    @pytest.fixture
    def aligner(self) -> Aligner:
        return LexicalAligner()

    @pytest.fixture
    def claims(self) -> list[Claim]:
        return split_claims("The sort is stable. The sort is not stable. Pi is 4. Yes!")

    @pytest.fixture
    def passages(self) -> tuple[Passage, ...]:
        return PASSAGES


class TestAlignmentAligner(AlignerContract):
    @pytest.fixture(params=["whole", "early exit"])
    def aligner(self, request: pytest.FixtureRequest) -> Aligner:
        engine = PairEngine(random_pair_model(), dtype="float32")
        return AlignmentAligner(engine=engine, early_exit=request.param == "early exit")

    @pytest.fixture
    def claims(self) -> list[Claim]:
        return split_claims("The sort is stable. The sort is not stable. Pi is 4. Yes!")

    @pytest.fixture
    def passages(self) -> tuple[Passage, ...]:
        return PASSAGES


class TestIndexRetriever(RetrieverContract):
    @pytest.fixture(params=["flat", "hnsw"])
    def retriever(self, request: pytest.FixtureRequest, tmp_path: Path) -> Retriever:
        embedder = HashEmbedder()
        items = [Passage(id=f"p{i}", text=f"word{i} common{i % 3}") for i in range(50)]
        index = PassageIndex.build(tmp_path / "ix", items, embedder, kind=request.param)
        return IndexRetriever(index, embedder, depth=20)

    @pytest.fixture
    def questions(self) -> list[str]:
        return ["word3", "common1 word7", "nothing of it"]


class TestAdaptedRetriever(RetrieverContract):
    @pytest.fixture
    def retriever(self) -> Retriever:
        return AdaptedRetriever(lambda question: [("far", 0.9), ("near", 0.1)], lower_is_better=True)

    @pytest.fixture
    def questions(self) -> list[str]:
        return ["word3"]


class OfTheSortQuestion:
    @pytest.fixture
    def question(self) -> str:
        return "Is the sort stable?"

    @pytest.fixture
    def passages(self) -> tuple[Passage, ...]:
        return PASSAGES


class TestExtractiveGenerator(OfTheSortQuestion, GeneratorContract):
    @pytest.fixture
    def generator(self) -> Generator:
        return ExtractiveGenerator()


class TestScriptedGenerator(OfTheSortQuestion, GeneratorContract):
    @pytest.fixture
    def generator(self) -> Generator:
        return ScriptedGenerator("Yes.", Generation(text="No.", read=()))


class BrokenGuard(ScriptedGuard):
    """Breaks every promise but to declare itself and to agree with itself."""

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        return self.check(turn, stage)

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        logging.getLogger("broken").debug(turn.question)
        if turn.passages is None:
            raise KeyError(turn.question)
        self.seen.append((stage, turn))
        turn.metadata["seen"] = len(self.seen)  # type: ignore[index]
        return Verdict(
            guard="other",
            stage=stage,
            action=Action.PASS,
            score=float("nan"),
            details={"n": {len(self.seen)}},
        )


BROKEN_PROMISES = [
    "test_gives_a_verdict_on_the_stage_asked",
    "test_check_and_acheck_agree",
    "test_leaves_the_turn_as_it_was",
    "test_verdicts_survive_json",
    "test_scores_are_finite",
    "test_many_threads_get_what_one_gets",
    "test_odd_turns_raise_guard_errors_at_most",
    "test_keeps_user_text_out_of_errors_and_logs",
    "test_acheck_checks_off_the_event_loop",
]


@pytest.mark.parametrize("promise", BROKEN_PROMISES)
def test_a_broken_promise_fails_its_test(promise: str, request: pytest.FixtureRequest) -> None:
    test = getattr(GuardContract(), promise)
    given: dict[str, Any] = {
        "guard": BrokenGuard(Stage.ANSWER),
        "turns": [Turn(question="What?", passages=(), answer="This.")],
    }
    wanted = [name for name in inspect.signature(test).parameters if name not in given]
    arguments = {name: given[name] for name in inspect.signature(test).parameters if name in given}
    with pytest.raises((AssertionError, KeyError, TypeError)):
        test(**arguments, **{name: request.getfixturevalue(name) for name in wanted})


def test_every_promise_but_the_declaration_is_known_to_break() -> None:
    tests = [name for name in vars(GuardContract) if name.startswith("test_")]
    assert sorted(tests) == sorted(["test_declares_a_name_and_stages", *BROKEN_PROMISES])

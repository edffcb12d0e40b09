"""Doubles for tests, and the contract that third-party parts can be held to.

A contract is a class of tests. Subclass it in a test module and give it the part:

    class TestMyGuard(GuardContract):
        @pytest.fixture
        def guard(self):
            return MyGuard()

        @pytest.fixture
        def turns(self):
            return [Turn(question="...", passages=(...), answer="...")]
"""
# ruff: noqa: S101 - tests are made of asserts

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np

from ragguard import protocols
from ragguard.errors import GuardError
from ragguard.protocols import FloatArray, Progress
from ragguard.types import Action, Claim, Evidence, Generation, Passage, Reason, Span, Stage, Turn, Verdict
from ragguard.worker import run_on_worker

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SECRET = "zyzzogeton7391"  # noqa: S105 - a word that occurs nowhere else
_OUTCOMES = {"supported", "contradicted", "not_found", "conflicting", "unverifiable"}
_ODD_TEXTS = (
    "",
    " \n\t ",
    "\u0000\u200b\ufeff",
    "cafe\u0301 \u202eright to left\u202c \U0001f469\u200d\U0001f680 \u4e2d\u6587\u3002",
    "5 mg." * 3_000,
    "word " * 4_000,
    "x" * 20_000,
)


class HashEmbedder:
    """A deterministic embedder without weights: a text is the sum of its tokens' random directions.

    Texts that share words are near. Every text embedded is counted in `embedded`.

    Args:
        dimension: numbers in a vector.
        max_tokens: declared, two of them for special tokens; more are cut.
        name: part of the fingerprint.
    """

    def __init__(self, dimension: int = 32, *, max_tokens: int = 256, name: str = "hash") -> None:
        self._dimension, self._max_tokens, self._name = dimension, max_tokens, name
        self._directions: dict[str, FloatArray] = {}
        self.embedded = 0

    @property
    def dimension(self) -> int:
        """As given."""
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """As given."""
        return self._max_tokens

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Return unit vectors (len(texts), dimension)."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for i, text in enumerate(texts):
            vectors[i] = self._embed(text)
            if progress is not None:
                progress("embedding", i + 1, len(texts))
        self.embedded += len(texts)
        return vectors

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        """Return unit vectors (len(texts), dimension)."""
        return self.embed_passages(texts)

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Return the ranges of words and of single signs."""
        return [match.span() for match in _TOKEN.finditer(text)]

    def fingerprint(self) -> dict[str, Any]:
        """Return name, dimension and length."""
        return {"name": self._name, "dimension": self._dimension, "max_tokens": self._max_tokens}

    def _embed(self, text: str) -> FloatArray:
        tokens = _TOKEN.findall(text.lower())[: self._max_tokens - 2] or [""]
        vector = np.sum([self._direction(token) for token in tokens], axis=0)
        unit: FloatArray = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit

    def _direction(self, token: str) -> FloatArray:
        if token not in self._directions:
            digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
            self._directions[token] = rng.standard_normal(self._dimension).astype(np.float32)
        return self._directions[token]


Deed: TypeAlias = Action | Turn | Verdict | Exception
"""What a scripted guard does: an action, a revision to this turn, a whole verdict, or to fail."""


class ScriptedGuard:
    """A guard that does as it is told, and notes what it saw and on which thread.

    Args:
        stages: at which it judges.
        does: the deed, or a function of (turn, stage) that returns it.
        name: of the guard.
        seconds: it takes for a check.
    """

    def __init__(
        self,
        *stages: Stage,
        does: Deed | Callable[[Turn, Stage], Deed] = Action.PASS,
        name: str = "scripted",
        seconds: float = 0.0,
    ) -> None:
        self.name, self.stages = name, frozenset(stages)
        self._does, self._seconds = does, seconds
        self.seen: list[tuple[Stage, Turn]] = []
        self.threads: set[int] = set()

    def check(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Do it."""
        self.seen.append((stage, turn))
        self.threads.add(threading.get_ident())
        time.sleep(self._seconds)
        deed = self._does(turn, stage) if callable(self._does) else self._does
        if isinstance(deed, Exception):
            raise deed
        if isinstance(deed, Verdict):
            return deed
        if isinstance(deed, Turn):
            return Verdict(guard=self.name, stage=stage, action=Action.REVISE, revised=deed)
        reason = Reason.OK if deed is Action.PASS else Reason.POLICY_CONFLICT
        revised = turn if deed is Action.REVISE else None
        return Verdict(guard=self.name, stage=stage, action=deed, reason=reason, revised=revised)

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict:
        """Do it on a worker."""
        return await run_on_worker(self.check, turn, stage)


class ScriptedGenerator:
    """A generator that gives one answer after another, the last one for ever, and notes what it was given."""

    def __init__(self, *answers: str | Generation) -> None:
        self._answers = answers or ("",)
        self.seen: list[tuple[str, tuple[Passage, ...]]] = []

    def __call__(self, question: str, passages: Sequence[Passage], /) -> str | Generation:
        """Return the next answer."""
        self.seen.append((question, tuple(passages)))
        return self._answers[min(len(self.seen), len(self._answers)) - 1]


class GuardContract:
    """What the loop expects of a guard; fixtures `guard` and `turns`, each with passages and an answer."""

    def test_declares_a_name_and_stages(self, guard: protocols.TurnGuard) -> None:
        assert isinstance(guard, protocols.TurnGuard), "name, stages, check and acheck are needed"
        assert guard.name, "a guard needs a name"
        assert guard.stages, "a guard without a stage is never asked"
        assert set(guard.stages) <= set(Stage), "stages are members of Stage"

    def test_gives_a_verdict_on_the_stage_asked(
        self, guard: protocols.TurnGuard, turns: Sequence[Turn]
    ) -> None:
        for turn, stage, verdict in _checked(guard, turns):
            assert isinstance(verdict, Verdict), "check returns a Verdict"
            assert (verdict.guard, verdict.stage) == (guard.name, stage), "a verdict names guard and stage"
            assert verdict.revised is None or isinstance(verdict.revised, Turn), "revised is a Turn"
            if verdict.action is Action.REVISE:
                assert verdict.revised is not None, "revise carries the turn to go on with"
                assert verdict.revised.question == turn.question, "the question is the user's own"

    def test_check_and_acheck_agree(self, guard: protocols.TurnGuard, turns: Sequence[Turn]) -> None:
        for turn, stage, verdict in _checked(guard, turns):
            assert _plain(asyncio.run(_acheck(guard, turn, stage))) == _plain(verdict)

    def test_leaves_the_turn_as_it_was(self, guard: protocols.TurnGuard, turns: Sequence[Turn]) -> None:
        before = [turn.model_dump_json() for turn in turns]
        for _ in _checked(guard, turns):
            assert [turn.model_dump_json() for turn in turns] == before, "a turn is not changed in place"

    def test_verdicts_survive_json(self, guard: protocols.TurnGuard, turns: Sequence[Turn]) -> None:
        for _, _, verdict in _checked(guard, turns):
            details, text = dict(verdict.details), verdict.model_dump_json()
            assert json.loads(json.dumps(details, default=str)) == details, "details hold more than JSON can"
            assert Verdict.model_validate_json(text).model_dump_json() == text, (
                "a verdict reads back as it was"
            )

    def test_scores_are_finite(self, guard: protocols.TurnGuard, turns: Sequence[Turn]) -> None:
        for _, _, verdict in _checked(guard, turns):
            numbers = [verdict.score, verdict.threshold, *(e.score for e in verdict.evidence)]
            assert all(n is None or math.isfinite(n) for n in numbers), "NaN and infinity compare as nothing"

    def test_many_threads_get_what_one_gets(self, guard: protocols.TurnGuard, turns: Sequence[Turn]) -> None:
        asked = [(turn, stage) for turn, stage, _ in _checked(guard, turns)] * 8
        alone = [_plain(guard.check(turn, stage)) for turn, stage in asked]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(lambda one: _plain(guard.check(*one)), asked))
        assert together == alone, "concurrent checks must not share state"

    def test_odd_turns_raise_guard_errors_at_most(self, guard: protocols.TurnGuard) -> None:
        for turn in _odd_turns():
            for stage in guard.stages:
                try:
                    verdict = guard.check(turn, stage)
                except GuardError:
                    continue
                assert isinstance(verdict, Verdict), "check returns a Verdict"

    def test_keeps_user_text_out_of_errors_and_logs(self, guard: protocols.TurnGuard, caplog: Any) -> None:
        caplog.set_level(logging.DEBUG)
        for turn in _odd_turns(_SECRET):
            for stage in guard.stages:
                assert _SECRET not in _said(guard, turn, stage), "an error or details quote the user's text"
        assert _SECRET not in caplog.text, "a log record quotes the user's text"

    def test_acheck_checks_off_the_event_loop(
        self, guard: protocols.TurnGuard, turns: Sequence[Turn], monkeypatch: Any
    ) -> None:
        threads: list[int] = []
        check = guard.check

        def noted(turn: Turn, stage: Stage) -> Verdict:
            threads.append(threading.get_ident())
            return check(turn, stage)

        monkeypatch.setattr(guard, "check", noted)
        for turn in turns:
            for stage in guard.stages:
                asyncio.run(_acheck(guard, turn, stage))
        assert threading.get_ident() not in threads, "acheck runs check on the event loop's own thread"


class EmbedderContract:
    """What indexing and searching expect of an embedder; fixtures `embedder` and `texts`."""

    def test_gives_float32_unit_vectors_in_order(
        self, embedder: protocols.Embedder, texts: Sequence[str]
    ) -> None:
        for vectors in (embedder.embed_passages(texts), embedder.embed_queries(texts)):
            assert vectors.dtype == np.float32, "vectors are float32"
            assert vectors.shape == (len(texts), embedder.dimension), "one vector a text"
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3)
        backwards = embedder.embed_passages(texts[::-1])[::-1]
        np.testing.assert_allclose(backwards, embedder.embed_passages(texts), atol=1e-4)

    def test_embeds_no_texts_and_odd_ones(self, embedder: protocols.Embedder) -> None:
        assert embedder.embed_passages([]).shape == (0, embedder.dimension), "no text, no vector"
        assert np.isfinite(embedder.embed_passages(_ODD_TEXTS)).all(), "odd texts have finite vectors"

    def test_token_spans_are_ranges_of_the_text_in_order(
        self, embedder: protocols.Embedder, texts: Sequence[str]
    ) -> None:
        for text in [*texts, *_ODD_TEXTS]:
            spans = embedder.token_spans(text)
            assert all(0 <= start <= end <= len(text) for start, end in spans), "spans lie in the text"
            assert spans == sorted(spans), "spans are in order"

    def test_describes_itself(self, embedder: protocols.Embedder) -> None:
        assert embedder.max_tokens > 0, "max_tokens is positive"
        _require_fingerprint(embedder)


class AlignerContract:
    """What a guard of answers expects of an aligner; fixtures `aligner`, `claims` and `passages`."""

    def test_gives_one_evidence_a_claim(
        self, aligner: protocols.Aligner, claims: Sequence[Claim], passages: Sequence[Passage]
    ) -> None:
        texts = {p.id: p.text for p in passages}
        found = aligner.align(claims, passages, question="What is it?")
        assert [e.claim for e in found] == list(claims), "one evidence a claim, in order"
        for evidence in found:
            _require_evidence(evidence, texts)
        assert aligner.align([], passages) == [], "no claim, no evidence"

    def test_supports_nothing_without_passages(
        self, aligner: protocols.Aligner, claims: Sequence[Claim]
    ) -> None:
        assert all(e.outcome != "supported" for e in aligner.align(claims, [])), "nothing supports a claim"

    def test_takes_odd_texts(self, aligner: protocols.Aligner, claims: Sequence[Claim]) -> None:
        odd = [Passage(id=str(i), text=text) for i, text in enumerate(_ODD_TEXTS)]
        for evidence in aligner.align([*claims, *_odd_claims()], odd):
            _require_evidence(evidence, {p.id: p.text for p in odd})

    def test_describes_itself(self, aligner: protocols.Aligner) -> None:
        _require_fingerprint(aligner)


class RetrieverContract:
    """What the cut expects of a retriever; fixtures `retriever` and `questions`."""

    def test_gives_scored_passages_best_first(
        self, retriever: protocols.Retriever, questions: Sequence[str]
    ) -> None:
        for question in questions:
            found = list(retriever(question))
            assert all(isinstance(p, Passage) for p in found), "results are Passage objects"
            scores = [p.score for p in found if p.score is not None]
            assert len(scores) == len(found), "every passage has a score"
            assert all(math.isfinite(s) for s in scores), "scores are finite"
            assert scores == sorted(scores, reverse=True), "best first: higher is nearer"
            assert len({p.id for p in found}) == len(found), "each passage once"

    def test_gives_the_same_again_on_any_thread(
        self, retriever: protocols.Retriever, questions: Sequence[str]
    ) -> None:
        alone = [list(retriever(q)) for q in questions] * 4
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda q: list(retriever(q)), [*questions] * 4)) == alone


class GeneratorContract:
    """What the loop expects of a generator; fixtures `generator`, `question` and `passages`."""

    def test_answers_with_text_and_names_what_it_read(
        self, generator: protocols.Generator, question: str, passages: Sequence[Passage]
    ) -> None:
        odd = [Passage(id=str(i), text=text) for i, text in enumerate(_ODD_TEXTS)]
        for given in (passages, odd, []):
            before = list(given)
            answer = generator(question, given)
            assert isinstance(answer, str | Generation), "an answer is a string or a Generation"
            if isinstance(answer, Generation):
                assert set(answer.read) <= {p.id for p in given}, "it read what it was not given"
            assert list(given) == before, "the passages are not changed"


def _checked(guard: protocols.TurnGuard, turns: Sequence[Turn]) -> Iterator[tuple[Turn, Stage, Verdict]]:
    assert turns, "the fixture `turns` is empty"
    for turn in turns:
        for stage in sorted(guard.stages):
            yield turn, stage, guard.check(turn, stage)


def _said(guard: protocols.TurnGuard, turn: Turn, stage: Stage) -> str:
    try:
        return json.dumps(dict(guard.check(turn, stage).details))
    except GuardError as error:
        return f"{error} {error.details}"


async def _acheck(guard: protocols.TurnGuard, turn: Turn, stage: Stage) -> Verdict:
    return await guard.acheck(turn, stage)


def _plain(verdict: Verdict) -> str:
    return verdict.model_copy(update={"seconds": 0.0}).model_dump_json()


def _odd_turns(word: str = "") -> Iterator[Turn]:
    for text in (f"{word} {odd}" if word else odd for odd in _ODD_TEXTS):
        question = text if text.strip() else "What?"
        passage = Passage(id="odd", text=text)
        yield Turn(question=question)
        yield Turn(question=question, passages=(), answer=text)
        yield Turn(question=question, passages=(passage,), answer=None)
        yield Turn(question=question, passages=(passage, passage), answer=text)


def _odd_claims() -> list[Claim]:
    return [Claim(text=text, span=Span(start=0, end=len(text))) for text in _ODD_TEXTS]


def _require_evidence(evidence: Evidence, texts: dict[str, str]) -> None:
    assert evidence.score is not None, "every claim has a score"
    assert 0 <= evidence.score <= 1, "a score lies in [0, 1]"
    assert evidence.outcome in _OUTCOMES, f"outcome is one of {sorted(_OUTCOMES)}"
    if evidence.passage_id is not None:
        assert evidence.passage_id in texts, "the passage is one of those given"
        if evidence.span is not None:
            assert evidence.span.end <= len(texts[evidence.passage_id]), "the span lies in its passage"


def _require_fingerprint(part: protocols.Embedder | protocols.Aligner) -> None:
    found, again = (json.dumps(dict(part.fingerprint()), sort_keys=True) for _ in range(2))
    assert found == again != "{}", "the fingerprint says, always alike, what determines the results"

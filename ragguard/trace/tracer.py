"""Tracer: one text against all registered corpora, and what of it conflicts."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.protocols import Aligner, Embedder, Fingerprint, FloatArray, Progress
from ragguard.trace import semantic, units
from ragguard.trace.belief import (
    FLOOR,
    KINDS,
    SCALE,
    Belief,
    Kind,
    covered,
    covered_elsewhere,
    verbatim_beliefs,
)
from ragguard.trace.corpus import Match
from ragguard.trace.index import TraceIndex
from ragguard.trace.memory import LatelyEmbedded
from ragguard.trace.opening import opening
from ragguard.trace.policy import PolicyClause, stored_policy
from ragguard.trace.semantic import DenyMeaning, PolicyMeaning
from ragguard.trace.tokens import Tokens, tokenise
from ragguard.trace.units import LEAST_CLAIM, LEAST_SENTENCE, Unit, text_units
from ragguard.trace.vectors import CorpusVectors, corpus_vectors
from ragguard.worker import check_deadline

VERSION = 1
LEAST_BCI = 0.005
"""A belief below it is none: benign answers then tie at 0, where no calibration puts its threshold."""
_TOGETHER = 256  # texts whose pieces are embedded in one call


@dataclass(frozen=True)
class Trace:
    """What a text was traced to.

    Attributes:
        beliefs: in the order of their spans.
        bci: of the text: the largest over them, 0 without one.
        hold: for the beginning of a text that goes on, the first character that what follows
            may still turn into part of a refused span; None for a whole text.
    """

    beliefs: tuple[Belief, ...]
    bci: float
    hold: int | None = None

    def scores(self) -> dict[str, float]:
        """Return the largest BCI of each kind."""
        return {kind: max((b.bci for b in self.beliefs if b.kind == kind), default=0.0) for kind in KINDS}


class Tracer:
    """Traces texts.

    Verbatim matches need nothing but the index. Given an embedder, paraphrases of the
    deny corpus are looked for too; given an aligner as well, they are confirmed, and
    policy clauses are checked. Models and vectors load at first use, or in `warm_up`.

    Args:
        index: the registered corpora.
        embedder: of the semantic pass.
        aligner: confirms it, and judges policy clauses.
        policy: clauses; by default those stored with the index. () checks none.
        least: words of a verbatim match.
        sentences: compare single sentences by meaning: finds one leaked statement in a long answer.
        windows: compare what has been said up to each sentence: finds answers that comply with
            something denied. See `ragguard.trace.units`.

    Raises:
        ConfigurationError: there are clauses, but no embedder or aligner to check them with.
        InvalidValueError: `least` is no whole number above 0, or there is nothing to compare.
    """

    def __init__(
        self,
        index: TraceIndex,
        *,
        embedder: Embedder | None = None,
        aligner: Aligner | None = None,
        policy: Sequence[PolicyClause] | None = None,
        least: int = 6,
        sentences: bool = True,
        windows: bool = True,
    ) -> None:
        if type(least) is not int or least < 1:
            raise InvalidValueError(f"least must be a whole number above 0, got {least!r:.40}")
        if not (sentences or windows):
            raise InvalidValueError("there is nothing to compare", hint="sentences, windows, or both")
        self.index, self.embedder, self.aligner = index, embedder, aligner
        self.least, self.sentences, self.windows = least, sentences, windows
        self.policy = tuple((stored_policy(index.folder) or ()) if policy is None else policy)
        if self.policy and (embedder is None or aligner is None):
            raise ConfigurationError(
                "policy clauses cannot be checked without an embedder and an aligner",
                hint="pass both, or policy=() to check none",
            )
        self._lately = None if embedder is None else LatelyEmbedded(embedder)
        self._lock = threading.Lock()
        self._meaning: _Meaning | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of beliefs it can find."""
        possible = {"verbatim": True, "policy": bool(self.policy), "semantic": self.embedder is not None}
        return tuple(kind for kind in KINDS if possible[kind])

    def warm_up(self) -> None:
        """Load models and vectors now."""
        for part in (self.embedder, self.aligner):
            warm_up = getattr(part, "warm_up", None)
            if callable(warm_up):
                warm_up()
        self.prepare()

    def prepare(self, *, progress: Progress | None = None) -> None:
        """Embed the corpora where that has not been done yet; it takes a while for large ones.

        Raises:
            IndexFileError: the vectors cannot be written or read.
        """
        self._meanings(progress)

    def trace(self, text: str, *, complete: bool = True) -> Trace:
        """Return what a text was traced to.

        Args:
            text: anything.
            complete: False for the beginning of a text that goes on. Beliefs are then those
                that stand, or grow, whatever follows, and `hold` tells what may not be shown yet.
        """
        vectors = self._embedded([text], [self._units(text, complete=complete)])
        return self._trace(text, complete=complete, vectors=vectors)

    def trace_many(
        self, texts: Sequence[str], *, without: Sequence[Collection[str]] | None = None
    ) -> list[Trace]:
        """Return `trace` of each text.

        Args:
            texts: whole ones.
            without: for each text the ids of the trusted documents that it is, often none: a text
                that is registered as trusted must not support itself while it is calibrated on.
        """
        names: Sequence[Collection[str]] = [()] * len(texts) if without is None else without
        if len(names) != len(texts) or any(isinstance(ids, str) for ids in names):
            raise InvalidValueError(
                f"without must be a collection of ids for each of {len(texts)} texts", hint="() for none"
            )
        traces: list[Trace] = []
        for begin in range(0, len(texts), _TOGETHER):
            part = texts[begin : begin + _TOGETHER]
            vectors = self._embedded(part, [self._units(text, complete=True) for text in part])
            traces += [
                self._trace(text, without=name, vectors=vectors)
                for text, name in zip(part, names[begin : begin + _TOGETHER], strict=True)
            ]
        return traces

    def scores(
        self, texts: Sequence[str], /, *, without: Sequence[Collection[str]] | None = None
    ) -> list[dict[str, float]]:
        """Return the largest BCI of each kind that it can find, for each text."""
        traces = self.trace_many(texts, without=without)
        return [{kind: trace.scores()[kind] for kind in self.kinds} for trace in traces]

    def fingerprint(self) -> Fingerprint:
        """What determines a trace: index, models, clauses and settings."""
        return {
            "index": self.index.fingerprint(),
            "embedder": None if self.embedder is None else dict(self.embedder.fingerprint()),
            "aligner": None if self.aligner is None else dict(self.aligner.fingerprint()),
            "policy": [[c.id, c.text, c.severity, list(c.examples)] for c in self.policy],
            "tracer": {
                "version": [VERSION, semantic.VERSION, units.VERSION],
                "least": self.least,
                "scale": SCALE,
                "floor": FLOOR,
                "least_bci": LEAST_BCI,
                "sentences": self.sentences,
                "windows": self.windows,
            },
        }

    def _trace(
        self,
        text: str,
        *,
        vectors: Mapping[str, FloatArray],
        complete: bool = True,
        without: Collection[str] = (),
    ) -> Trace:
        check_deadline()
        tokens = tokenise(text)
        beliefs, holds = self._verbatim(text, tokens, complete=complete, without=without)
        if self.embedder is not None:
            found = self._units(text, complete=complete)
            beliefs += self._by_meaning(text, found, vectors, without)
            if not complete and self._reads_windows and units.undecided(text):
                holds.append(0)
        beliefs = sorted(
            (b for b in beliefs if b.bci >= LEAST_BCI), key=lambda b: (b.span.start, b.span.end, b.kind)
        )
        largest = max((b.bci for b in beliefs), default=0.0)
        return Trace(tuple(beliefs), largest, None if complete else min(holds, default=len(text)))

    def _verbatim(
        self, text: str, tokens: Tokens, *, complete: bool, without: Collection[str]
    ) -> tuple[list[Belief], list[int]]:
        deny, trusted = self.index.corpora["deny"], self.index.corpora["trusted"]
        matches = deny.matches(tokens, least=self.least) if len(deny) else []
        inside = self._supported(tokens, matches, without)
        if complete or not len(deny):
            return verbatim_beliefs(tokens, matches, inside, self.index.unigrams), []
        open_deny, open_trusted = opening(text, tokens, deny), opening(text, tokens, trusted)
        # A match that can only grow is judged at once: so much of it will be denied anyhow. One that
        # trusted text may yet come to cover is held until that is known.
        settled = [m for m in matches if m.end <= open_trusted]
        first = min([open_deny, *(m.start for m in matches if m.end > open_trusted)])
        hold = int(tokens.starts[first]) if first < len(tokens.words) else len(text)
        return verbatim_beliefs(tokens, settled, inside, self.index.unigrams), [hold]

    def _supported(
        self, tokens: Tokens, matches: Sequence[Match], without: Collection[str]
    ) -> NDArray[np.bool_]:
        """Which words lie in a match in a trusted document that counts."""
        trusted, count = self.index.corpora["trusted"], len(tokens.words)
        if not matches or not len(trusted):
            return covered((), count)
        if not without:
            return covered(trusted.matches(tokens, least=self.least), count)
        return covered_elsewhere(tokens, trusted, matches, least=self.least, without=without)

    def _units(self, text: str, *, complete: bool) -> list[Unit]:
        """What is compared by meaning; policy clauses ask for every sentence, however short."""
        return text_units(
            text,
            sentences=self.sentences or bool(self.policy),
            windows=self._reads_windows,
            complete=complete,
            least=LEAST_CLAIM if self.policy else LEAST_SENTENCE,
        )

    @property
    def _reads_windows(self) -> bool:
        return self.windows and bool(len(self.index.corpora["deny"]))

    def _embedded(self, texts: Sequence[str], found: Sequence[Sequence[Unit]]) -> dict[str, FloatArray]:
        """The vector of every different piece of the texts, made together; none where none is compared."""
        if self._lately is None or not self._meanings().any:
            return {}
        pieces = [
            text[unit.read.start : unit.read.end]
            for text, units_ in zip(texts, found, strict=True)
            for unit in units_
        ]
        vectors = self._lately(pieces)
        check_deadline()
        return vectors

    def _by_meaning(
        self, text: str, found: Sequence[Unit], vectors: Mapping[str, FloatArray], without: Collection[str]
    ) -> list[Belief]:
        meaning = self._meanings()
        if not found or not meaning.any:
            return []
        rows: FloatArray = np.stack([vectors[text[u.read.start : u.read.end]] for u in found])
        beliefs: list[Belief] = []
        if meaning.deny is not None:
            # Sentences that only the policy asked for are not compared with what is denied.
            kept = [n for n, u in enumerate(found) if u.window or self._compares(u)]
            beliefs += meaning.deny.beliefs(text, [found[n] for n in kept], rows[kept], without=without)
        if meaning.policy is not None:
            beliefs += meaning.policy.beliefs(text, found, rows)
        return beliefs

    def _compares(self, unit: Unit) -> bool:
        return self.sentences and unit.words >= LEAST_SENTENCE

    def _meanings(self, progress: Progress | None = None) -> _Meaning:
        with self._lock:
            if self._meaning is None:
                self._meaning = self._built(progress)
            return self._meaning

    def _built(self, progress: Progress | None) -> _Meaning:
        if self.embedder is None:
            return _Meaning(None, None)
        denied = corpus_vectors(self.index, "deny", self.embedder, progress=progress)
        trusted: CorpusVectors | None = None
        if denied is not None:
            trusted = corpus_vectors(self.index, "trusted", self.embedder, progress=progress)
        return _Meaning(
            None if denied is None else DenyMeaning(self.index, denied, trusted, self.aligner),
            PolicyMeaning(self.policy, self.embedder, self.aligner, self.index.unigrams)
            if self.policy and self.aligner is not None
            else None,
        )


@dataclass(frozen=True)
class _Meaning:
    deny: DenyMeaning | None
    policy: PolicyMeaning | None

    @property
    def any(self) -> bool:
        return self.deny is not None or self.policy is not None

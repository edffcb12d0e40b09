"""What the parts expect of one another; third-party code implements these.

All are structural: a class needs the members, not the base. Text goes in and
out as the user's original strings; every score is higher-is-better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ragguard.types import Claim, Evidence, Generation, Message, Passage, Report, Stage, Turn, Verdict

FloatArray: TypeAlias = NDArray[np.float32]
Fingerprint: TypeAlias = Mapping[str, Any]
"""Inputs and settings that determine a result, JSON-serialisable; never bytes of floats."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while long work runs."""


@runtime_checkable
class TurnGuard(Protocol):
    """One guard over one turn: it judges, and never raises to refuse.

    `check` runs on a worker and may take its time; `acheck` must not block the
    event loop (`ragguard.worker.run_on_worker` does for a synchronous check).
    A guard that raises is handled by its failure policy.
    """

    @property
    def name(self) -> str: ...

    @property
    def stages(self) -> frozenset[Stage]:
        """The stages at which it is called."""
        ...

    def check(self, turn: Turn, stage: Stage, /) -> Verdict: ...

    async def acheck(self, turn: Turn, stage: Stage, /) -> Verdict: ...


@runtime_checkable
class Embedder(Protocol):
    """Text to unit vectors."""

    @property
    def dimension(self) -> int: ...

    def embed_passages(self, texts: Sequence[str], /, *, progress: Progress | None = None) -> FloatArray:
        """Return float32 unit vectors of shape (len(texts), dimension), in order."""
        ...

    def embed_queries(self, texts: Sequence[str], /) -> FloatArray:
        """Return float32 unit vectors of shape (len(texts), dimension), in order."""
        ...

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Return the character range of every token of the text, in order, without special tokens."""
        ...

    @property
    def max_tokens(self) -> int:
        """The most tokens of one text that it embeds; more would be cut."""
        ...

    def fingerprint(self) -> Fingerprint:
        """Name, weights hash, pooling, normalisation, back end and dtype."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """Relevance of passages to a question, e.g. a cross-encoder."""

    def score_pairs(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float64]:
        """Return one finite score a (question, passage) pair, shape (len(pairs),)."""
        ...

    def fingerprint(self) -> Fingerprint: ...


@runtime_checkable
class Aligner(Protocol):
    """Whether passages support the claims of an answer."""

    def align(
        self, claims: Sequence[Claim], passages: Sequence[Passage], /, *, question: str = ""
    ) -> list[Evidence]:
        """Return one evidence a claim, in order, with `score` in [0, 1] and `outcome` set."""
        ...

    def fingerprint(self) -> Fingerprint: ...


class Retriever(Protocol):
    """Any retriever: a question in, passages with scores out, best first."""

    def __call__(self, question: str, /) -> Sequence[Passage]: ...


class Generator(Protocol):
    """Any generator: a question and the passages kept in, an answer out.

    One that cannot read every passage returns a `Generation`, which names those it read.
    """

    def __call__(self, question: str, passages: Sequence[Passage], /) -> str | Generation: ...


class Rewriter(Protocol):
    """Turns a follow-up and its history into a standalone question."""

    def __call__(self, question: str, history: Sequence[Message], /) -> str: ...


class Observer(Protocol):
    """Told of every verdict and report; it can change none, and its failures are counted, not raised."""

    def on_verdict(self, turn: Turn, verdict: Verdict, /) -> None: ...

    def on_report(self, report: Report, /) -> None: ...

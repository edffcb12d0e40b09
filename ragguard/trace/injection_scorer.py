"""Scores of passages for injected instructions, each text judged once.

Units of all passages of a call are embedded in one batch; what was found is kept
by the hash of the text, so that a corpus is judged once and not at every turn.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragguard.protocols import Embedder, FloatArray
from ragguard.trace.hidden import Finding
from ragguard.trace.injection import SIGNALS, Reading, read_passage, with_vectors
from ragguard.trace.injection_head import InjectionHead, sigmoid
from ragguard.types import Span
from ragguard.worker import check_deadline

if TYPE_CHECKING:
    from ragguard.trace.tracer import Tracer

KNOWN_ATTACK = "known.attack"
_VERSION = 1
_FORMS = slice(3, 5)


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of one passage; no text.

    Attributes:
        score: of its worst unit, in [0, 1]; higher is more suspicious.
        span: that unit, or None where the passage has none.
        signals: of that unit, by name.
        findings: of rules, hidden text, encodings and known attacks, in order of place.
        unread: units beyond `most_units`, judged by rules and form alone.
        vector: unit-length mean of the units' vectors, or None without an embedder or without units.
    """

    score: float
    span: Span | None
    signals: dict[str, float]
    findings: tuple[Finding, ...]
    unread: int
    vector: FloatArray | None


class InjectionScorer:
    """Judges passages by rules, hidden text, form, outlierness, known attacks and the learned head.

    Constructing is cheap; the embedder loads at the first passage.

    Args:
        embedder: of the units; the bundled one by default. None leaves out the head and outlierness.
        head: "bundled", one of your own, or None for rules and form alone (the weights of the
            combination stay those of the bundled head).
        tracer: also looks every passage up in its deny corpus: known attacks.
        most_units: of one passage embedded; of a longer one the most suspicious by form and
            rules are, and others evenly spread over it.
        cache: texts whose judgement is kept, at least 1.

    Raises:
        CalibrationMismatchError: at the first passage: the head was trained on another embedder.
        UnreadableFileError: at the first passage: the shipped head is damaged.
    """

    def __init__(
        self,
        embedder: Embedder | str | None = "bundled",
        *,
        head: InjectionHead | str | None = "bundled",
        tracer: Tracer | None = None,
        most_units: int = 400,
        cache: int = 20_000,
    ) -> None:
        self._embedder, self._head, self._tracer = embedder, head, tracer
        self._most_units, self._size = max(1, most_units), max(1, cache)
        self._cache: OrderedDict[bytes, Judged] = OrderedDict()
        self._lock = threading.Lock()
        self._parts: tuple[Embedder | None, InjectionHead, bool] | None = None

    def warm_up(self) -> None:
        """Load embedder and head now."""
        self.judge(["Warm up. And again. Once more."])

    def scores(self, texts: Sequence[str], /) -> list[dict[str, float]]:
        """Return {"injection": score} of each text; what `calibrate_trace` asks for."""
        return [{"injection": found.score} for found in self.judge(texts)]

    @property
    def default_threshold(self) -> float:
        """The head's: about 2 % of the benign passages of its training lie above; no promise."""
        return self._loaded()[1].threshold

    def judge(self, texts: Sequence[str]) -> list[Judged]:
        """Return what is known of each text, in order; the same for the same text, always."""
        # A deny corpus may grow while it serves: what it did not know then is asked anew.
        known_to = b"" if self._tracer is None else repr(self._tracer.index.fingerprint()).encode()
        keys = [hashlib.sha256(known_to + text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        with self._lock:
            known = {key: self._cache[key] for key in keys if key in self._cache}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known |= dict(zip(missing, self._judge(list(missing.values())), strict=True))
        with self._lock:
            for key in keys:
                self._cache[key] = known[key]
                self._cache.move_to_end(key)
            while len(self._cache) > self._size:
                self._cache.popitem(last=False)
        return [known[key] for key in keys]

    def fingerprint(self) -> dict[str, Any]:
        """Version, embedder, head, deny corpus and settings."""
        embedder, head, learned = self._loaded()
        return {
            "scorer": "injection",
            "version": _VERSION,
            "embedder": None if embedder is None else dict(embedder.fingerprint()),
            "head": head.fingerprint() | {"used": learned},
            "tracer": None if self._tracer is None else dict(self._tracer.fingerprint()),
            "most_units": self._most_units,
        }

    def _judge(self, texts: Sequence[str]) -> list[Judged]:
        embedder, head, learned = self._loaded()
        readings = []
        for text in texts:
            check_deadline()
            readings.append(read_passage(text))
        chosen = [_chosen(reading, self._most_units) for reading in readings]
        vectors: FloatArray | None = None
        if embedder is not None:
            pieces = [
                text[reading.units[row][0] : reading.units[row][1]]
                for text, reading, rows in zip(texts, readings, chosen, strict=True)
                for row in rows
            ]
            vectors = _embedded(embedder, pieces)
        traced = self._traced(texts)
        judged, at = [], 0
        for reading, rows, known in zip(readings, chosen, traced, strict=True):
            mine = None if vectors is None else vectors[at : at + len(rows)]
            at += len(rows)
            judged.append(_judged(reading, rows, mine, head, known, learned))
        return judged

    def _traced(self, texts: Sequence[str]) -> list[tuple[Finding, ...]]:
        if self._tracer is None:
            return [()] * len(texts)
        return [
            tuple(
                Finding(KNOWN_ATTACK, belief.span, round(min(1.0, max(0.0, belief.bci)), 4))
                for belief in trace.beliefs
                if belief.label == "deny" and belief.bci > 0
            )
            for trace in self._tracer.trace_many(texts)
        ]

    def _loaded(self) -> tuple[Embedder | None, InjectionHead, bool]:
        with self._lock:
            if self._parts is None:
                self._parts = self._load()
            return self._parts

    def _load(self) -> tuple[Embedder | None, InjectionHead, bool]:
        if isinstance(self._embedder, str):
            from ragguard.models.embedders import load_embedder

            embedder: Embedder | None = load_embedder(self._embedder)
        else:
            embedder = self._embedder
        head = self._head if isinstance(self._head, InjectionHead) else InjectionHead.bundled()
        learned = self._head is not None and embedder is not None
        if learned and embedder is not None:
            head.require(embedder.fingerprint())
        return embedder, head, learned


def _embedded(embedder: Embedder, pieces: Sequence[str]) -> FloatArray:
    """Vectors of the pieces, equal ones embedded once."""
    if not pieces:
        return np.zeros((0, embedder.dimension), dtype=np.float32)
    distinct = list(dict.fromkeys(pieces))
    place = {piece: i for i, piece in enumerate(distinct)}
    vectors: FloatArray = embedder.embed_passages(distinct)[[place[piece] for piece in pieces]]
    return vectors


def _chosen(reading: Reading, most: int) -> list[int]:
    """Rows to embed: all, or the most suspicious half and an even spread, in order."""
    count = len(reading.units)
    if count <= most:
        return list(range(count))
    suspicion = reading.signals[:, :3].sum(axis=1) * 2 + reading.signals[:, _FORMS].sum(axis=1)
    worst = np.argsort(-suspicion, kind="stable")[: most // 2]
    spread = np.linspace(0, count - 1, most - len(worst)).astype(int)
    return sorted({*worst.tolist(), *spread.tolist()})


def _judged(
    reading: Reading,
    rows: Sequence[int],
    vectors: FloatArray | None,
    head: InjectionHead,
    known: tuple[Finding, ...],
    learned: bool,  # noqa: FBT001
) -> Judged:
    findings = tuple(sorted((*reading.findings, *known), key=lambda f: (f.span.start, f.span.end, f.rule)))
    worst_known = max((f.weight for f in known), default=0.0)
    if not reading.units:
        return _without_units(findings, worst_known, head)
    scores = head.score(reading.signals, None)
    signals, mean = reading.signals, None
    if vectors is not None and len(rows):
        part = Reading(tuple(reading.units[row] for row in rows), (), reading.signals[list(rows)])
        logits = head.logits(vectors) if learned else None
        seen = with_vectors(part, vectors, np.zeros(len(rows)) if logits is None else sigmoid(logits))
        scores[list(rows)] = head.score(seen.signals, logits)
        signals = reading.signals.copy()
        signals[list(rows)] = seen.signals
        mean = _unit(vectors.sum(axis=0))
    worst = int(np.argmax(scores))
    start, end = reading.units[worst]
    return Judged(
        score=round(float(max(scores[worst], worst_known)), 5),
        span=Span(start=start, end=end),
        signals={name: round(float(signals[worst, i]), 4) for i, name in enumerate(SIGNALS)}
        | {"known": worst_known},
        findings=findings,
        unread=len(reading.units) - len(rows),
        vector=mean,
    )


def _without_units(findings: tuple[Finding, ...], known: float, head: InjectionHead) -> Judged:
    """A passage without a visible character: what is hidden in it is all there is."""
    signals = np.zeros((1, len(SIGNALS)))
    signals[0, 1] = max((f.weight for f in findings), default=0.0)
    score = float(head.score(signals, None)[0]) if findings else 0.0
    return Judged(
        round(max(score, known), 5), None, {"hidden": signals[0, 1], "known": known}, findings, 0, None
    )


def _unit(vector: NDArray[Any]) -> FloatArray:
    length = float(np.linalg.norm(vector))
    found: FloatArray = (vector / length if length > 0 else vector).astype(np.float32)
    return found

"""Above which belief conflict an answer is refused: a conformal test against benign answers.

An answer's score is its BCI, the largest over its spans. Against n benign answers its
p-value is (1 + #{benign >= score}) / (n + 1), and it is refused iff p <= eps. Where it is
exchangeable with the benign ones, it is refused with probability floor(eps (n + 1)) / (n + 1)
without ties, and less with them: at most eps in total, over all corpora.

"In total" is kept by one of two splits:

* `max` (default): one score over every corpus and kind of trace. There is one test, so eps
  needs no sharing out and all n answers serve it. All kinds are in [0, 1) on one scale,
  conflict times saturated specificity, which is what makes their maximum mean something.
* `bonferroni`: one test a kind, each at eps over the number of kinds. The right one where
  one kind is noisy on benign answers (paraphrases of a deny corpus about daily business)
  and would hide the others; it needs as many times the answers.

References:
    Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ragguard.artifacts import content_id, read_artifact, require_same, write_artifact
from ragguard.errors import (
    ArtifactCorruptedError,
    CalibrationExpiredError,
    InvalidValueError,
    TooFewAnswersError,
)

FILE_NAME = "trace-calibration.json"
KIND = "ragguard.trace"
WHOLE = "all"
VALID_DAYS = 180
_SLACK = 1e-9  # eps (n + 1) is often an integer that floating point misses from below

Split: TypeAlias = Literal["max", "bonferroni"]
Scores: TypeAlias = Mapping[str, float]


class TraceStatement(BaseModel):
    """What was promised, on how many benign answers, through which index and models.

    Attributes:
        max_false_refusal: eps, in total.
        n: benign answers.
        split: how eps is kept in total.
        thresholds: by kind of trace, or "all"; a score is refused iff it lies strictly above.
        subject: what was calibrated: answers, questions or passages.
        fingerprints: of index, embedder, aligner and settings; must be the same at serving time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    kind: Literal["ragguard.trace"] = "ragguard.trace"
    version: str = ""
    created: datetime
    expires: datetime
    max_false_refusal: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)
    split: Split = "max"
    orientation: Literal["refuses score > threshold"] = "refuses score > threshold"
    thresholds: Mapping[str, float]
    subject: Literal["answer", "question", "passage"] = "answer"
    fingerprints: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """A short hash of the content, for logs."""
        return content_id(self)

    def expired(self, now: datetime | None = None) -> bool:
        """True from `expires` on."""
        return (now or datetime.now(UTC)) >= self.expires


class Scorer(Protocol):
    """What is calibrated: a `Tracer`, or whatever else scores texts, higher being worse."""

    def scores(self, texts: Sequence[str], /) -> list[dict[str, float]]:
        """Return scores by kind, one mapping a text; each at least 0."""
        ...

    # A scorer with documents of its own also takes `without=`, see `Tracer.scores`.

    def fingerprint(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Decision:
    """Whether a text is refused, and how usual its score is among benign ones.

    Attributes:
        refused: p-value <= eps, at some kind's share of it.
        p_value: the smallest over the kinds, times their number; in (0, 1].
        threshold: of the kind that decided, or the nearest to it.
        kinds: those that refuse.
    """

    refused: bool
    p_value: float
    threshold: float
    kinds: tuple[str, ...]


class TraceCalibration:
    """A statement with the benign scores behind it.

    Args:
        statement: the promise.
        scores: benign scores by kind, or under "all".

    Raises:
        ArtifactCorruptedError: scores are missing, malformed or not those of the thresholds.
    """

    def __init__(self, statement: TraceStatement, scores: Mapping[str, NDArray[Any]]) -> None:
        self.statement = statement
        self._sorted = {name: np.sort(np.asarray(values)) for name, values in scores.items()}
        if set(self._sorted) != set(statement.thresholds) or not all(
            values.ndim == 1
            and values.dtype == np.float64
            and len(values) == statement.n
            and np.isfinite(values).all()
            for values in self._sorted.values()
        ):
            raise ArtifactCorruptedError(
                "the calibration's scores do not fit its statement", hint="calibrate again"
            )
        level = statement.max_false_refusal / max(1, len(self._sorted))
        for name, values in self._sorted.items():
            if statement.thresholds[name] != _threshold(values, level):
                raise ArtifactCorruptedError(
                    "the calibration's threshold is not that of its scores", hint="calibrate again"
                )

    @classmethod
    def load(cls, folder: str | Path) -> TraceCalibration:
        """Read a calibration.

        Raises:
            ArtifactCorruptedError: missing, truncated, altered, of a newer schema, or not ours.
        """
        return cls(*read_artifact(TraceStatement, KIND, Path(folder) / FILE_NAME))

    def save(self, folder: str | Path) -> Path:
        """Write the calibration, replacing one in that folder in a single step."""
        return write_artifact(self.statement, self._sorted, Path(folder) / FILE_NAME)

    def decide(self, scores: Scores) -> Decision:
        """Return whether a text with these scores is refused.

        Args:
            scores: by kind, as `Scorer.scores` gives them; a kind left out is 0.
        """
        mine = _grouped(scores, tuple(self._sorted))
        n, kinds = self.statement.n, len(self._sorted)
        values = {
            name: (1 + n - int(np.searchsorted(ranked, mine[name], side="left"))) / (n + 1)
            for name, ranked in self._sorted.items()
        }
        refusing = tuple(name for name in mine if mine[name] > self.statement.thresholds[name])
        nearest = min(values, key=lambda name: (name not in refusing, values[name]))
        return Decision(
            refused=bool(refusing),
            p_value=min(1.0, kinds * values[nearest]),
            threshold=self.statement.thresholds[nearest],
            kinds=refusing,
        )

    def refuses(self, kind: str, score: float) -> bool:
        """Return whether a span of that kind would be refused by itself."""
        name = WHOLE if WHOLE in self._sorted else kind
        return name in self._sorted and score > self.statement.thresholds[name]

    def verify(self, scorer: Scorer) -> None:
        """Compare index, embedder, aligner and settings with those calibrated.

        Raises:
            CalibrationMismatchError: one differs; every difference is named.
        """
        require_same(self.statement.fingerprints, scorer.fingerprint())

    def require_valid(self, now: datetime | None = None) -> None:
        """Return while the calibration has not expired.

        Raises:
            CalibrationExpiredError: it has.
        """
        if self.statement.expired(now):
            raise CalibrationExpiredError(
                f"this calibration was valid until {self.statement.expires.isoformat()}",
                hint="calibrate again on fresh benign answers",
            )


def needed_answers(max_false_refusal: float, *, kinds: int = 1) -> int:
    """Return how many benign answers that rate needs: ceil(1/eps) - 1, eps shared among the kinds.

    Raises:
        InvalidValueError: the rate does not lie strictly between 0 and 1.
    """
    if not (0.0 < max_false_refusal < 1.0):
        raise InvalidValueError(
            f"max_false_refusal must lie strictly between 0 and 1, got {max_false_refusal!r:.40}",
            hint="e.g. 0.01",
        )
    return max(1, math.ceil(kinds / max_false_refusal - _SLACK) - 1)


def calibrate_trace(
    tracer: Scorer,
    benign: Sequence[str],
    *,
    without: Sequence[Collection[str]] | None = None,
    max_false_refusal: float = 0.01,
    split: Split = "max",
    subject: Literal["answer", "question", "passage"] = "answer",
    valid_days: float = VALID_DAYS,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TraceCalibration:
    """Find the threshold at which at most `max_false_refusal` of benign texts are refused.

    Args:
        tracer: as it will serve.
        benign: texts that must not be refused, like those served.
        without: for each the ids of the trusted documents that it is, often none. A text that
            is registered as trusted supports itself, which those served do not.
        max_false_refusal: eps in (0, 1), in total over all corpora.
        split: see the module.
        subject: what the texts are.
        valid_days: until it expires, above 0.
        now: the clock.

    Raises:
        TooFewAnswersError: fewer than ceil(1/eps) - 1, eps divided by the kinds for `bonferroni`.
        InvalidValueError: a setting is out of range, or a score is no finite number.
    """
    if split not in get_args(Split):
        raise InvalidValueError(f"split must be one of {', '.join(get_args(Split))}")
    if not valid_days > 0:
        raise InvalidValueError(f"valid_days must be more than 0, got {valid_days!r:.40}")
    needed = needed_answers(max_false_refusal)
    if len(benign) >= needed:
        rows = tracer.scores(benign) if without is None else _scores(tracer, benign, without)
        kinds = {kind for row in rows for kind in row}
        names = (WHOLE,) if split == "max" or not kinds else tuple(sorted(kinds))
        needed = needed_answers(max_false_refusal, kinds=len(names))
    if len(benign) < needed:
        raise TooFewAnswersError(
            f"{len(benign)} benign answers are too few for max_false_refusal={max_false_refusal:g}: "
            f"at least {needed} are needed",
            hint="add benign answers, or allow more false refusals",
            details={"n": len(benign), "needed": needed, "max_false_refusal": max_false_refusal},
        )
    columns = {name: np.array([_grouped(row, names)[name] for row in rows]) for name in names}
    if not all(np.isfinite(values).all() for values in columns.values()):
        raise InvalidValueError("the score of a benign answer is not a finite number")
    created, level = now(), max_false_refusal / len(columns)
    statement = TraceStatement(
        version=_version(),
        created=created,
        expires=created + timedelta(days=valid_days),
        max_false_refusal=max_false_refusal,
        n=len(benign),
        split=split,
        thresholds={name: _threshold(np.sort(values), level) for name, values in columns.items()},
        subject=subject,
        fingerprints=dict(tracer.fingerprint()),
    )
    return TraceCalibration(statement, columns)


def _scores(tracer: Any, benign: Sequence[str], without: Sequence[Collection[str]]) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = tracer.scores(benign, without=without)
    return rows


def _grouped(scores: Scores, names: Sequence[str]) -> dict[str, float]:
    largest = max(scores.values(), default=0.0)
    return {name: float(largest if name == WHOLE else scores.get(name, 0.0)) for name in names}


def _threshold(ranked: NDArray[np.float64], level: float) -> float:
    """The score that p <= level asks to exceed: fewer than floor(level (n + 1)) benign ones are as high."""
    allowed = math.floor(level * (len(ranked) + 1) + _SLACK)
    return float(ranked[len(ranked) - allowed])


def _version() -> str:
    from ragguard._version import __version__

    return __version__

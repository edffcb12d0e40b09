"""From observations to a calibration: tune on one share, take thresholds on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from ragguard._version import __version__
from ragguard.conformal import tuning
from ragguard.conformal.artifact import Artifact, Category
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.groups import REST, WHOLE, categorise
from ragguard.conformal.observations import Observation, Target, check_target, target_score
from ragguard.conformal.ranks import check_level, conformal_rank, needed_questions
from ragguard.conformal.scores import RERANKER, SCORES, TEMPERED, Score, make_score
from ragguard.conformal.thresholds import Threshold, find_threshold
from ragguard.conformal.weighted import WeightedScores
from ragguard.errors import (
    ConfigurationError,
    InvalidValueError,
    NoValidThresholdError,
    TargetUnattainableError,
    TooFewQuestionsError,
    UnknownNameError,
)

_CHOICES: Mapping[str, tuple[str | None, ...]] = {
    "unseen_group": ("abstain", "error"),
    "weighting": ("exact", "estimated", None),
    "provenance": ("auto", "human", "synthetic"),
}
_LONGEST_DAYS = 36_500


@dataclass(frozen=True)
class Settings:
    """What to promise and how.

    Attributes:
        alpha: allowed miscoverage, in (0, 1).
        delta: allowed share of unlucky calibration sets, in (0, 1), or None for the
            bound on average over calibration sets.
        target: "any", "all" or "recall".
        score: a nonconformity score, or "auto" to choose one on the tuning share.
        temperature: of softmax and reranker; None tunes it (0.03 below 50 questions).
        tune_share: share of answerable questions to tune on, in [0, 0.5].
        cap: most passages kept, or None.
        grouped: one threshold per `Observation.group`.
        unseen_group: "abstain" or "error" at serving time.
        weighting: "exact" or "estimated" when observations carry likelihood ratios.
        novelty_level: share of answerable questions that may be turned away, or None.
        provenance: calibrate on "human" or "synthetic" questions; "auto" takes human
            ones where they suffice.
        tolerance: share of passages that may change before serving is an error.
        valid_days: days until the calibration expires.
        seed: of the tuning split.
    """

    alpha: float = 0.1
    delta: float | None = None
    target: Target = "any"
    score: str = "softmax"
    temperature: float | None = None
    tune_share: float = 0.2
    cap: int | None = None
    grouped: bool = False
    unseen_group: Literal["abstain", "error"] = "abstain"
    weighting: Literal["exact", "estimated"] | None = None
    novelty_level: float | None = 0.05
    provenance: Literal["auto", "human", "synthetic"] = "auto"
    tolerance: float = 0.1
    valid_days: float = 180.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_level("alpha", self.alpha)
        for name in ("delta", "novelty_level"):
            if getattr(self, name) is not None:
                check_level(name, getattr(self, name))
        check_target(self.target)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(
                    f"no {name} named {getattr(self, name)!r}", hint=f"one of {', '.join(map(str, known))}"
                )
        if self.score not in (*SCORES, RERANKER, "auto"):
            raise UnknownNameError(
                f"no nonconformity score named {self.score!r}",
                hint=f"one of {', '.join(SCORES)}, {RERANKER}, auto",
            )
        if not 0.0 <= self.tune_share <= 0.5:
            raise InvalidValueError(
                f"tune_share must lie in [0, 0.5], got {self.tune_share}", hint="e.g. 0.2"
            )
        if self.cap is not None and self.cap < 1:
            raise InvalidValueError(f"the cap on passages must be at least 1, got {self.cap}")
        if not 0 < self.valid_days <= _LONGEST_DAYS:
            raise InvalidValueError(
                f"valid_days must be positive and at most {_LONGEST_DAYS}, got {self.valid_days}",
                hint="e.g. 180",
            )
        if not 0.0 <= self.tolerance <= 1.0:
            raise InvalidValueError(f"tolerance must lie in [0, 1], got {self.tolerance}", hint="e.g. 0.1")
        if self.weighting and (self.delta is not None or self.target == "recall" or self.grouped):
            raise ConfigurationError(
                "a weighted calibration promises the marginal bound for targets any and all, without groups",
                hint="leave out delta, groups and the recall target",
            )


@dataclass(frozen=True)
class Provided:
    """What the caller knows about the retriever, to be recorded.

    Attributes:
        fingerprints: compared when serving.
        informative: recorded only.
        passages: 64-bit content hashes of the passages, sorted, or None when unknown.
        depth: results asked of the retriever, or None.
        upstream: guards that ran before the cut.
    """

    fingerprints: Mapping[str, Any] = field(default_factory=dict)
    informative: Mapping[str, Any] = field(default_factory=dict)
    passages: np.ndarray | None = None
    depth: int | None = None
    upstream: tuple[str, ...] = ()


def calibrate(
    observations: Sequence[Observation], settings: Settings, *, provided: Provided | None = None
) -> Calibration:
    """Return a calibration that keeps the promise of `settings` on questions like these.

    Unanswerable questions stay outside n; a relevant passage that was never returned
    counts as a miss.

    Raises:
        TooFewQuestionsError: fewer answerable questions than alpha and delta need.
        TargetUnattainableError: too many relevant passages are out of reach.
    """
    provided = provided or Provided()
    answerable = [o for o in observations if o.answerable]
    used, notes = _by_provenance(answerable, settings)
    tuning_share, held, score = _tune(used, settings)
    categories, members = _categories(held, score, settings)
    weights = WeightedScores.of(*_weighted(held, score, settings)) if settings.weighting else None
    now = datetime.now(UTC).replace(microsecond=0)
    clusters = {o.cluster for o in held if o.cluster is not None}
    artifact = Artifact(
        version=__version__,
        created=now,
        expires=now + timedelta(days=settings.valid_days),
        alpha=settings.alpha,
        delta=settings.delta,
        target=settings.target,
        n=len(held),
        n_tuning=len(tuning_share),
        n_unanswerable=len(observations) - len(answerable),
        n_clusters=len(clusters) or None,
        score=score.name,
        parameters=score.parameters,
        cap=settings.cap,
        depth=provided.depth,
        shortest=min(len(o.similarities) for o in held),
        categories={name: _category(t, members.get(name, ())) for name, t in categories.items()},
        unseen_group=settings.unseen_group,
        novelty_level=settings.novelty_level,
        weighting=settings.weighting,
        effective_size=weights.effective_size if weights else None,
        by_provenance=_report_provenance(answerable, tuning_share, score, settings),
        tolerance=settings.tolerance,
        upstream=provided.upstream,
        notes=tuple(notes),
        seed=settings.seed,
        fingerprints=provided.fingerprints,
        informative=provided.informative,
    )
    arrays: dict[str, np.ndarray] = {"tops": np.sort([o.top for o in held])}
    if weights is not None:
        arrays |= {"scores": weights.scores, "weights": weights.weights}
    if provided.passages is not None:
        arrays["passages"] = provided.passages
    return Calibration(artifact, arrays)


def _by_provenance(
    answerable: Sequence[Observation], settings: Settings
) -> tuple[list[Observation], list[str]]:
    """Return the questions to calibrate on: human ones where they suffice; the two kinds never mix."""
    kinds = Counter(o.provenance for o in answerable)
    wanted = settings.provenance
    if wanted == "auto":
        need = needed_questions(settings.alpha, settings.delta)
        wanted = "synthetic" if kinds["synthetic"] and kinds["human"] < need else "human"
    used = [o for o in answerable if o.provenance == wanted]
    notes = []
    if wanted == "synthetic":
        notes.append(
            "calibrated on synthetic questions, which repeat the words of their passages: optimistic"
        )
    if len(kinds) > 1:
        notes.append(f"{len(answerable) - len(used)} questions of other provenance left out")
    return used, notes


def _tune(
    used: Sequence[Observation], settings: Settings
) -> tuple[list[Observation], list[Observation], Score]:
    needed = needed_questions(settings.alpha, settings.delta)
    tunable = settings.score == "auto" or (settings.score in TEMPERED and settings.temperature is None)
    rng = np.random.default_rng(settings.seed)
    if tunable and settings.tune_share > 0 and len(used) >= tuning.MINIMUM_QUESTIONS:
        share, held = tuning.split(used, settings.tune_share, rng)
        # Tuning must not cost the threshold itself: with too few left, everything calibrates.
        if len(share) >= 5 and len(held) >= needed:
            best = tuning.choose(
                share, settings.score, alpha=settings.alpha, target=settings.target, cap=settings.cap
            )[0]
            return share, held, best.score
    name = "softmax" if settings.score == "auto" else settings.score
    if not used:
        raise TooFewQuestionsError(
            f"no answerable calibration questions: at least {needed} are needed for alpha={settings.alpha:g}",
            hint="give questions whose `relevant` is not empty",
            details={"n": 0, "needed": needed},
        )
    return [], list(used), make_score(name, temperature=settings.temperature)


def _categories(
    held: Sequence[Observation], score: Score, settings: Settings
) -> tuple[dict[str, Threshold | int], dict[str, tuple[str, ...]]]:
    if settings.weighting:
        _check_weighted(held, score, settings)
        return {WHOLE: len(held)}, {}
    if not settings.grouped:
        return {WHOLE: _find(held, score, settings)}, {}
    groups = categorise([o.group for o in held], needed_questions(settings.alpha, settings.delta))
    parts: dict[str, list[Observation]] = {}
    for observation in held:
        parts.setdefault(groups.assigned[observation.group or REST], []).append(observation)
    members: dict[str, list[str]] = {}
    for group, category in groups.assigned.items():
        members.setdefault(category, []).append(group)
    found: dict[str, Threshold | int] = {}
    for category, part in sorted(parts.items()):
        try:
            found[category] = _find(part, score, settings)
        except NoValidThresholdError as error:
            raise type(error)(
                f"group {category!r}: {error.args[0]}", details={**error.details, "group": category}
            ) from error
    return found, {c: tuple(sorted(m)) for c, m in members.items()}


def _find(part: Sequence[Observation], score: Score, settings: Settings) -> Threshold:
    return find_threshold(
        part, score, alpha=settings.alpha, delta=settings.delta, target=settings.target, cap=settings.cap
    )


def _check_weighted(held: Sequence[Observation], score: Score, settings: Settings) -> None:
    """Refuse now what would leave the average question without a threshold when serving."""
    scores, weights = _weighted(held, score, settings)
    weighted = WeightedScores.of(scores, weights)
    conformal_rank(len(held), settings.alpha)
    if np.isinf(weighted.threshold(float(weights.mean()), settings.alpha)):
        missed = float(weights[np.isinf(scores)].sum() / weights.sum())
        raise TargetUnattainableError(
            f"alpha={settings.alpha:g} is out of reach: {missed:.1%} of the weighted questions need passages "
            "outside what the retriever and cap return",
            hint="raise alpha or the cap, or let the retriever return more results",
            details={"alpha": settings.alpha, "miss_rate": missed, "cap": settings.cap, "n": len(held)},
        )


def _weighted(held: Sequence[Observation], score: Score, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    scores = [target_score(o.relevant_scores(score, cap=settings.cap), settings.target) for o in held]
    return np.array(scores), np.array([o.weight for o in held])


def _category(found: Threshold | int, members: tuple[str, ...]) -> Category:
    if isinstance(found, int):
        return Category(threshold=None, n=found)
    return Category(
        threshold=found.value, n=found.n, rank=found.rank, unreachable=found.unreachable, members=members
    )


def _report_provenance(
    answerable: Sequence[Observation], tuned_on: Sequence[Observation], score: Score, settings: Settings
) -> dict[str, dict[str, Any]]:
    """What each kind of question alone would give, for comparison: n and its pooled threshold."""
    tuned = {o.id for o in tuned_on}
    report: dict[str, dict[str, Any]] = {}
    for kind in sorted({o.provenance for o in answerable}):
        part = [o for o in answerable if o.provenance == kind and o.id not in tuned]
        try:
            value: float | None = _find(part, score, settings).value
        except NoValidThresholdError:
            value = None
        report[kind] = {"n": len(part), "threshold": value}
    return report

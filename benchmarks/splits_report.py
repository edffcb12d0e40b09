"""One question set over repeated splits: coverage against the law, cost, and what splits by document do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import bdtr, betaln, gammaln
from scipy.special import logsumexp as log_sum

from benchmarks.published import expected_coverage, published_splits
from ragguard.conformal.observations import Observation, Target, target_score
from ragguard.conformal.ranks import conformal_rank
from ragguard.conformal.scores import Array, Score
from ragguard.conformal.splits import random_splits
from ragguard.errors import TooFewQuestionsError

Row = dict[str, Any]

TOLERANCE = 4.0
"""Standard errors within which a mean agrees with the law."""


def cell(
    pool: Sequence[Observation],
    name: str,
    score: Score,
    *,
    n: int,
    alpha: float,
    splits: int,
    seed: int,
    target: Target,
) -> Row:
    """Return coverage and cost of one score at one level and size, with the law beside it."""
    head: Row = {"score": name, "alpha": alpha, "n": n}
    rng = np.random.default_rng([seed, n])
    try:
        found = random_splits(pool, score, n=n, alpha=alpha, splits=splits, rng=rng, target=target)
    except TooFewQuestionsError as error:
        return {**head, "skipped": str(error)}
    summary = found.summary()
    needed = np.array([target_score(o.relevant_scores(score), target) for o in pool])
    ties = 1.0 - len(np.unique(needed)) / len(needed)
    verdict = agreement(summary["coverage"], found.expected, summary["standard_error"])
    return {**head, **summary, "rank": found.rank, "tied_share": ties, "verdict": verdict}


def agreement(coverage: float, expected: float, standard_error: float) -> str:
    """Return "within", "above" (ties let more in than the rank asks for) or "below" (a defect)."""
    slack = TOLERANCE * standard_error + 1e-12
    if abs(coverage - expected) <= slack:
        return "within"
    return "above" if coverage > expected else "below"


def published_cell(
    pool: Sequence[Observation], *, n: int, alpha: float, splits: int, seed: int, target: Target
) -> Row:
    """Return the same for the published rule; `expected_uniform` is its law without drops."""
    rng = np.random.default_rng([seed, n])
    found = published_splits(pool, n=n, alpha=alpha, splits=splits, rng=rng, target=target)
    mean, error = float(found.coverage.mean()), standard_error(found.coverage)
    return {
        "score": "published",
        "alpha": alpha,
        "n": n,
        "coverage": mean,
        "standard_error": error,
        "sd": float(found.coverage.std(ddof=1)),
        "coverage_any": float(found.coverage_any.mean()),
        "expected_uniform": expected_coverage(n, alpha),
        "mean_passages": float(found.passages.mean()),
        "dropped": found.dropped,
        "splits": splits,
        "verdict": "under" if mean < 1 - alpha - TOLERANCE * error else "holds",
    }


def standard_error(values: Array) -> float:
    """Return that of the mean of independent values."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def pac_cell(
    pool: Sequence[Observation],
    name: str,
    score: Score,
    *,
    n: int,
    alpha: float,
    delta: float,
    splits: int,
    seed: int,
    target: Target,
) -> Row:
    """Return how often the training-conditional rank leaves coverage below 1 - alpha.

    The pool is finite, so a split's expected coverage is not seen in its test part. Two
    figures: `below_expected` draws calibration sets with replacement, so that the pool is
    the population and the coverage of a threshold is its share of the pool, exactly;
    `below_expected_law` is its exact probability without ties, at most delta.
    `below_observed` counts test parts of plain splits, whose own noise adds to it;
    `below_observed_law` is the Beta-Binomial probability of that.
    """
    head: Row = {"score": name, "alpha": alpha, "delta": delta, "n": n}
    rng = np.random.default_rng([seed, n, 1])
    try:
        found = random_splits(
            pool, score, n=n, alpha=alpha, splits=splits, rng=rng, target=target, delta=delta
        )
    except TooFewQuestionsError as error:
        return {**head, "skipped": str(error)}
    needed = np.array([target_score(o.relevant_scores(score), target) for o in pool])
    expected = _coverage_with_replacement(needed, n, found.rank, splits, rng)
    summary = found.summary()
    return {
        **head,
        "rank": found.rank,
        "coverage": summary["coverage"],
        "standard_error": summary["standard_error"],
        "expected": found.expected,
        "mean_passages": summary["mean_passages"],
        "below_expected": _below(expected, alpha),
        "below_expected_law": below_in_population(len(pool), n, found.rank, alpha),
        "below_observed": _below(found.coverage, alpha),
        "below_observed_law": below_in_test(len(pool) - n, n, found.rank, alpha),
        "splits": splits,
    }


def _below(coverage: Array, alpha: float) -> float:
    return float(np.mean(coverage < 1.0 - alpha - 1e-12))


def _coverage_with_replacement(
    needed: Array, n: int, rank: int, splits: int, rng: np.random.Generator
) -> Array:
    draws = needed[rng.integers(0, len(needed), size=(splits, n))]
    thresholds = np.partition(draws, rank - 1, axis=1)[:, rank - 1]
    # Out of reach stays uncovered, even below a threshold that is infinite.
    return np.searchsorted(np.sort(needed[np.isfinite(needed)]), thresholds, side="right") / len(needed)


def below_in_population(size: int, n: int, rank: int, alpha: float) -> float:
    """Return P(share of a population of distinct scores at or below the rank-th of n draws is < 1 - alpha)."""
    short = int(np.ceil(size * (1.0 - alpha) - 1e-9)) - 1  # so many of the population are too few
    # The rank-th smallest draw is among the `short` lowest iff at least `rank` draws are.
    return 1.0 - float(bdtr(rank - 1, n, short / size))


def below_in_test(tested: int, n: int, rank: int, alpha: float) -> float:
    """Return P(BetaBinomial(tested; rank, n + 1 - rank) < (1 - alpha) tested)."""
    short = int(np.ceil(tested * (1.0 - alpha) - 1e-9)) - 1
    x = np.arange(short + 1, dtype=np.float64)
    a, b = float(rank), float(n + 1 - rank)
    choose = gammaln(tested + 1) - gammaln(x + 1) - gammaln(tested - x + 1)
    return float(np.exp(log_sum(choose + betaln(x + a, tested - x + b) - betaln(a, b))))


def shift(
    observations: Sequence[Observation], name: str, score: Score, *, alpha: float, splits: int, seed: int
) -> Row:
    """Calibrate on the questions of half the documents, test on the rest; beside it random splits of equal size.

    The target is "any". No bound is claimed for the former: questions of other
    documents are not exchangeable with the calibration ones. The score must not have
    been chosen on these questions.
    """
    documents, number = np.unique([str(o.cluster) for o in observations], return_inverse=True)
    needed = np.array([target_score(o.relevant_scores(score), "any") for o in observations])
    rng = np.random.default_rng([seed, len(documents)])
    coverage = np.empty((splits, 2))
    for row in coverage:
        half = rng.permutation(len(documents))[: len(documents) // 2]
        by_document = np.isin(number, half)
        row[:] = [_held_out(needed, part, alpha) for part in (by_document, rng.permutation(by_document))]
    return {
        "score": name,
        "alpha": alpha,
        "documents": len(documents),
        "by_document": _spread(coverage[:, 0], alpha),
        "random": _spread(coverage[:, 1], alpha),
        "splits": splits,
    }


def _held_out(needed: Array, calibrate: np.ndarray, alpha: float) -> float:
    scores = needed[calibrate]
    rank = conformal_rank(len(scores), alpha)
    threshold = np.partition(scores, rank - 1)[rank - 1]
    return float(np.mean(needed[~calibrate] <= threshold))


def _spread(coverage: Array, alpha: float) -> Row:
    return {
        "coverage": float(coverage.mean()),
        "standard_error": standard_error(coverage),
        "sd": float(coverage.std(ddof=1)),
        "lowest": float(coverage.min()),
        "below_target": _below(coverage, alpha),
    }

"""What a model achieves that never sees a passage: the measure of the shortcut in the labels.

Under hard labels a question has passages that helped or passages that harmed,
depending on whether the reader knew the answer anyway. So questions alone predict
labels, often well, and say nothing about which passage to put first. A reranker's
figure over all questions is to be read beside this one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ragguard.preference.groups import Group
from ragguard.preference.ranking import global_auc, within_auc

Floats = NDArray[np.float64]

_RIDGE = 1.0
_BUCKETS = 512
_WORD = re.compile(r"[^\W_]+")


def labelled(groups: Sequence[Group]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return, for every labelled passage, its question's index and whether it helped."""
    found = [(i, m.tier > 0) for i, group in enumerate(groups) for m in group.members if m.tier]
    return np.array([i for i, _ in found], dtype=np.intp), np.array([up for _, up in found], dtype=bool)


def word_counts(questions: Sequence[str]) -> Floats:
    """Return which words each question has, hashed, shape (questions, 512).

    Question words count too: "how many" tells more about what a reader knows than most nouns.
    """
    found = np.zeros((len(questions), _BUCKETS))
    for row, question in enumerate(questions):
        for word in _WORD.findall(question.casefold()):
            digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            found[row, int.from_bytes(digest, "little") % _BUCKETS] = 1.0
    return found


def question_scores(
    train_vectors: Floats, train: Sequence[Group], test_vectors: Floats, *, ridge: float = _RIDGE
) -> Floats:
    """Return how likely a passage helps with each test question, whatever it says.

    Logistic regression on vectors of the questions alone.

    Args:
        train_vectors: one a training question, shape (questions, width).
        train: these questions.
        test_vectors: one a test question.
        ridge: weight of the penalty on standardised coordinates.

    Returns:
        Log-odds, shape (test questions,); all 0 where training has one label only.
    """
    rows, ups = labelled(train)
    if len(set(ups.tolist())) < 2:
        return np.zeros(len(test_vectors))
    mean, spread = train_vectors.mean(axis=0), train_vectors.std(axis=0)
    safe = np.where(spread > 1e-9, spread, np.inf)
    x, signs = ((train_vectors - mean) / safe)[rows], np.where(ups, 1.0, -1.0)
    x = x / np.sqrt(x.shape[1])

    def objective(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = signs * (x @ weights + bias)
        slope = -signs * expit(-margin)
        value = float(np.logaddexp(0.0, -margin).sum() + 0.5 * ridge * weights @ weights)
        return value, np.append(x.T @ slope + ridge * weights, slope.sum())

    found = minimize(objective, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B")
    scaled = (test_vectors - mean) / safe / np.sqrt(x.shape[1])
    return np.asarray(scaled @ found.x[:-1] + found.x[-1], dtype=np.float64)


def aucs(scores: Sequence[Floats], groups: Sequence[Group]) -> dict[str, float | None]:
    """Return how scores tell labels apart over all questions, and passages within questions.

    Args:
        scores: one array a group.
        groups: the questions.

    Returns:
        "global_auc" over labelled passages; "within_auc", the mean over questions
        with better and worse passages; None where there is nothing to tell apart.
    """
    pairs = [
        (float(s), m.tier > 0)
        for found, group in zip(scores, groups, strict=True)
        for s, m in zip(found, group.members, strict=True)
        if m.tier
    ]
    over_all = global_auc([s for s, _ in pairs], [up for _, up in pairs])
    each = np.array([within_auc(s, g.gains) for s, g in zip(scores, groups, strict=True)])
    defined = each[~np.isnan(each)]
    return {
        "global_auc": None if np.isnan(over_all) else over_all,
        "within_auc": float(defined.mean()) if len(defined) else None,
    }

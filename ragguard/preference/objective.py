"""What a reranker is taught by one reader's preferences: three losses on the scores of a step.

All are averages over questions of averages within one, so that a question with
many passages counts no more than one with few, and none compares passages of
different questions. What says nothing (no label, no pair, nothing that helped)
gives exactly 0, with a gradient of 0.

References:
    Burges et al. (2005), Learning to rank using gradient descent (RankNet).
    van den Oord, Li and Vinyals (2018), Representation learning with contrastive predictive coding.
    Khosla et al. (2020), Supervised contrastive learning, equation 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ragguard.preference.recipe import Settings

POINT, PAIR, CONTRASTIVE = OBJECTIVES = ("point", "pair", "contrastive")


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of every (question, passage) pair of a step; each of shape (rows,).

    Attributes:
        query: which question of the step, from 0; -1 for filler, which no loss sees.
        gains: in [-1, 1].
        tiers: 1 aligned, 0 neutral, -1 unaligned.
        weights: above 0.
        borrowed: the passage is another question's: it has no label, and is taken not to help.
    """

    query: Tensor
    gains: Tensor
    tiers: Tensor
    weights: Tensor
    borrowed: Tensor

    @property
    def own(self) -> Tensor:
        """Whether the passage was read with this question."""
        return (self.query >= 0) & ~self.borrowed


def losses(z: Tensor, scores: Tensor, rows: Rows, *, settings: Settings) -> dict[str, Tensor]:
    """Return the losses of the objectives chosen, by name.

    Args:
        z: the representations, shape (rows, width).
        scores: one a row, from these.
        rows: what is known of them.
        settings: which objectives, and in which form.
    """
    found: dict[str, Tensor] = {}
    for name in settings.objectives:
        if name == POINT:
            found[name] = point_loss(scores, rows, soft=settings.point == "soft")
        elif name == PAIR:
            found[name] = pair_loss(scores, rows, eps=settings.tie)
        elif settings.contrastive == "supervised":
            found[name] = supervised_contrastive_loss(z, rows, temperature=settings.temperature)
        else:
            found[name] = listwise_loss(scores, rows, eps=settings.tie)
    return found


def point_loss(scores: Tensor, rows: Rows, *, soft: bool = False) -> Tensor:
    """Return the cross-entropy of each passage's own label.

    Args:
        soft: the target is (gain + 1) / 2 for every passage; else 1 for aligned and 0
            for unaligned ones, and neutral ones have no target.
    """
    target = (rows.gains + 1) / 2 if soft else (rows.tiers > 0).to(scores.dtype)
    labelled = rows.own if soft else rows.own & (rows.tiers != 0)
    each = functional.binary_cross_entropy_with_logits(scores, target.to(scores.dtype), reduction="none")
    return _mean_of_questions(each, labelled, rows)


def pair_loss(scores: Tensor, rows: Rows, *, eps: float = 0.0) -> Tensor:
    """Return -log sigma(better - worse) over pairs of one question whose gains differ by more than `eps`.

    In nats. A pair weighs as its weaker passage.
    """
    better = rows.gains[:, None] - rows.gains[None, :] > eps
    pairs = better & _same_question(rows) & rows.own[:, None] & rows.own[None, :]
    winner, loser = pairs.nonzero(as_tuple=True)
    each = functional.softplus(scores[loser] - scores[winner])
    weights = torch.minimum(rows.weights[winner], rows.weights[loser])
    return _weighted(each, weights, rows.query[winner], scores)


def listwise_loss(scores: Tensor, rows: Rows, *, eps: float = 0.0) -> Tensor:
    """Return -log of each helpful passage's softmax share among itself and what helped less.

    That is: passages of its question whose gain is lower by more than `eps`, and
    those borrowed from other questions of the step.
    """
    same = _same_question(rows)
    helped = rows.own & (rows.gains > eps)
    lower = (rows.gains[:, None] - rows.gains[None, :] > eps) & rows.own[None, :]
    against = same & (lower | rows.borrowed[None, :])
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    counted = helped & against.any(dim=1)
    among = scores[None, :].masked_fill(~(against | itself), float("-inf"))
    each = torch.logsumexp(among, dim=1) - scores
    return _mean_of_questions(each, counted, rows)


def supervised_contrastive_loss(z: Tensor, rows: Rows, *, temperature: float = 0.07) -> Tensor:
    """Return the published form: representations of one question's passages of one tier drawn together.

    Note that it draws unaligned passages to one another as well, and says nothing of
    scores. A passage alone in its tier is no anchor.
    """
    unit = functional.normalize(z, dim=1)
    near = unit @ unit.T / temperature
    other = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    among = _same_question(rows) & other & rows.own[:, None] & rows.own[None, :]
    positive = among & (rows.tiers[:, None] == rows.tiers[None, :])
    counted = positive.any(dim=1)
    whole = torch.logsumexp(near.masked_fill(~among, float("-inf")), dim=1, keepdim=True)
    shares = torch.where(positive, whole - near, torch.zeros_like(near))
    each = shares.sum(dim=1) / positive.sum(dim=1).clamp_min(1)
    return _mean_of_questions(each, counted, rows)


def _same_question(rows: Rows) -> Tensor:
    return (rows.query[:, None] == rows.query[None, :]) & (rows.query >= 0)[:, None]


def _mean_of_questions(each: Tensor, counted: Tensor, rows: Rows) -> Tensor:
    return _weighted(each[counted], rows.weights[counted], rows.query[counted], each)


def _weighted(each: Tensor, weights: Tensor, query: Tensor, like: Tensor) -> Tensor:
    """The mean over questions of the weighted means within them.

    Without any entry 0, still on the graph. A question's weight is that of its
    entries: all of weak evidence, it counts for less than one of strong.
    """
    if len(each) == 0:
        return like[:0].sum()
    weights = weights.to(each.dtype)
    count = int(query.max()) + 1
    zeros = torch.zeros(count, dtype=each.dtype, device=each.device)
    totals = zeros.index_add(0, query, weights)
    sums = zeros.index_add(0, query, weights * each)
    present = totals > 0
    entries = zeros.index_add(0, query, torch.ones_like(weights))
    strength = totals[present] / entries[present]
    means = sums[present] / totals[present]
    return (strength * means).sum() / strength.sum()

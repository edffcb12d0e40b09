from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from ragguard.preference.objective import (
    Rows,
    listwise_loss,
    losses,
    pair_loss,
    point_loss,
    supervised_contrastive_loss,
)
from ragguard.preference.recipe import Settings


def rows(
    gains: list[float], query: list[int] | None = None, borrowed: list[int] | None = None, **changed: Tensor
) -> Rows:
    g = torch.tensor(gains)
    n = len(gains)
    fields = {
        "query": torch.tensor([0] * n if query is None else query),
        "gains": g,
        "tiers": g.sign().long(),
        "weights": torch.ones(n),
        "borrowed": torch.tensor([i in (borrowed or []) for i in range(n)]),
        **changed,
    }
    return Rows(**fields)


ANCHOR = torch.tensor([2.0, 0.0, -1.0, 0.5])
STRICT = [1.0, 0.5, 0.0, -1.0]


def test_the_pair_loss_meets_the_published_anchors_in_nats() -> None:
    assert float(pair_loss(ANCHOR, rows(STRICT))) == pytest.approx(0.5609, abs=5e-5)
    assert float(pair_loss(ANCHOR, rows([1.0, 1.0, 0.0, 0.0]))) == pytest.approx(0.3843, abs=5e-5)


def test_the_pair_loss_is_ranknet_written_out() -> None:
    pairs = itertools.combinations(ANCHOR.tolist(), 2)
    expected = sum(math.log1p(math.exp(-(w - loser))) for w, loser in pairs) / 6
    assert float(pair_loss(ANCHOR, rows(STRICT))) == pytest.approx(expected)


def test_swapping_winner_and_loser_raises_the_pair_loss() -> None:
    assert pair_loss(torch.tensor([1.0, 0.0]), rows([1.0, 0.0])) < pair_loss(
        torch.tensor([0.0, 1.0]), rows([1.0, 0.0])
    )


@pytest.mark.parametrize("loss", [pair_loss, listwise_loss, point_loss])
def test_a_step_raises_what_helped_and_lowers_what_harmed(loss: object) -> None:
    scores = torch.zeros(3, requires_grad=True)
    loss(scores, rows([1.0, 0.0, -1.0])).backward()  # type: ignore[operator]
    assert scores.grad is not None
    assert scores.grad[0] < 0 < scores.grad[2]


@pytest.mark.parametrize("loss", [pair_loss, listwise_loss])
def test_a_constant_added_to_a_questions_scores_changes_nothing(loss: object) -> None:
    known = rows([1.0, 0.0, 1.0, -1.0], query=[0, 0, 1, 1])
    scores = torch.tensor([0.3, 1.0, -2.0, 0.1])
    moved = scores + torch.tensor([7.0, 7.0, -3.0, -3.0])
    assert float(loss(moved, known)) == pytest.approx(float(loss(scores, known)), abs=1e-6)  # type: ignore[operator]


def test_pairs_never_cross_questions() -> None:
    scores = torch.tensor([0.0, 5.0], requires_grad=True)
    found = pair_loss(scores, rows([1.0, -1.0], query=[0, 1]))
    assert float(found) == 0.0


@pytest.mark.parametrize("gains", [[1.0], [0.0, 0.0, 0.0], [-1.0, -1.0]])
def test_a_question_without_an_order_gives_zero_with_a_gradient_of_zero(gains: list[float]) -> None:
    scores = torch.randn(len(gains), requires_grad=True)
    for loss in (pair_loss, listwise_loss):
        found = loss(scores, rows(gains))
        assert float(found) == 0.0
        (gradient,) = torch.autograd.grad(found, scores)
        assert torch.equal(gradient, torch.zeros_like(scores))


def test_gains_within_the_tie_make_no_pair() -> None:
    scores = torch.tensor([0.0, 1.0])
    assert float(pair_loss(scores, rows([0.3, 0.25]), eps=0.1)) == 0.0
    assert float(pair_loss(scores, rows([0.5, 0.25]), eps=0.1)) > 0.0


def test_the_order_of_tied_passages_changes_no_loss() -> None:
    gains, scores = [1.0, 0.0, 0.0, -1.0], torch.tensor([0.2, 0.9, -0.4, 0.1])
    mixed = [0, 2, 1, 3]
    for loss in (pair_loss, listwise_loss, point_loss):
        assert float(loss(scores[mixed], rows([gains[i] for i in mixed]))) == pytest.approx(
            float(loss(scores, rows(gains)))
        )


def test_a_question_with_many_passages_counts_no_more_than_one_with_few() -> None:
    few, many = torch.tensor([0.0, 1.0]), torch.tensor([2.0, *[0.0] * 9])
    both = pair_loss(torch.cat([few, many]), rows([1.0, 0.0, 1.0, *[0.0] * 9], query=[0, 0, *[1] * 10]))
    alone = [pair_loss(few, rows([1.0, 0.0])), pair_loss(many, rows([1.0, *[0.0] * 9]))]
    assert float(both) == pytest.approx(float(sum(alone)) / 2)


def test_weak_evidence_counts_for_less() -> None:
    known = rows([1.0, 0.0, 1.0, 0.0], query=[0, 0, 1, 1], weights=torch.tensor([0.1, 0.1, 1.0, 1.0]))
    scores = torch.zeros(4, requires_grad=True)
    pair_loss(scores, known).backward()
    assert scores.grad is not None
    assert float(scores.grad[0] / scores.grad[2]) == pytest.approx(0.1)


def test_neutral_passages_have_no_label_but_keep_their_place_in_pairs() -> None:
    scores = torch.zeros(2, requires_grad=True)
    (labelled,) = torch.autograd.grad(point_loss(scores, rows([1.0, 0.0])), scores)
    assert labelled[1] == 0.0
    (paired,) = torch.autograd.grad(pair_loss(scores, rows([1.0, 0.0])), scores)
    assert paired[1] > 0


def test_soft_targets_are_gains_mapped_to_the_unit_interval() -> None:
    gains = [0.5, -0.2]
    best = torch.logit(torch.tensor([(g + 1) / 2 for g in gains])).requires_grad_()
    (gradient,) = torch.autograd.grad(point_loss(best, rows(gains), soft=True), best)
    assert gradient.abs().max() < 1e-6


def test_the_listwise_loss_is_a_softmax_over_what_helped_less_and_what_was_borrowed() -> None:
    scores = torch.tensor([1.0, 0.5, -0.5, 0.2])
    found = listwise_loss(scores, rows([1.0, 0.0, -1.0, 0.0], borrowed=[3]))
    assert float(found) == pytest.approx(-math.log(math.exp(1.0) / sum(math.exp(s) for s in scores.tolist())))
    # Another that helped as much is no negative of it.
    two = listwise_loss(scores, rows([1.0, 1.0, -1.0, 0.0]))
    shares = [math.exp(s) / sum(map(math.exp, (s, -0.5, 0.2))) for s in scores.tolist()[:2]]
    assert float(two) == pytest.approx(-sum(map(math.log, shares)) / 2)


def test_borrowed_passages_have_no_label_and_no_pair() -> None:
    scores = torch.zeros(3, requires_grad=True)
    known = rows([1.0, 0.0, 0.0], borrowed=[2])
    for loss in (point_loss, pair_loss):
        (gradient,) = torch.autograd.grad(loss(scores, known), scores)
        assert gradient[2] == 0.0
    (gradient,) = torch.autograd.grad(listwise_loss(scores, known), scores)
    assert gradient[2] > 0.0


def test_filler_rows_reach_no_loss() -> None:
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    scores = torch.tensor([0.1, 0.4, 9.0, -9.0], requires_grad=True)
    known = rows([1.0, -1.0, 0.0, 0.0], query=[0, 0, -1, -1])
    bare = rows([1.0, -1.0])
    for settings in (Settings(), Settings(contrastive="supervised", point="soft")):
        found = losses(z, scores, known, settings=settings)
        expected = losses(z[:2], scores[:2], bare, settings=settings)
        for name in found:
            assert float(found[name]) == pytest.approx(float(expected[name]))


def test_supervised_contrastive_meets_its_anchors() -> None:
    known = rows([1.0, 1.0, -1.0, -1.0])
    clusters = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    assert float(supervised_contrastive_loss(clusters, known)) == pytest.approx(0.0, abs=1e-5)
    collapsed = torch.ones(4, 2)
    assert float(supervised_contrastive_loss(collapsed, known)) == pytest.approx(math.log(3), abs=1e-5)


def test_supervised_contrastive_stays_finite_where_a_tier_has_one_passage() -> None:
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = supervised_contrastive_loss(z, rows([1.0, 0.0, -1.0]))
    (gradient,) = torch.autograd.grad(found, z)
    assert float(found) == 0.0
    assert torch.equal(gradient, torch.zeros_like(z))


def test_only_the_objectives_chosen_are_computed() -> None:
    settings = Settings(objectives=("pair",))
    assert list(losses(torch.zeros(2, 2), torch.zeros(2), rows([1.0, 0.0]), settings=settings)) == ["pair"]

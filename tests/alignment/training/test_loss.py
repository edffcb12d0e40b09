"""The loss against its closed form."""

from __future__ import annotations

import math

import pytest
import torch

from ragguard.alignment.training.examples import IGNORE
from ragguard.alignment.training.loss import alignment_loss

NOTHING = torch.tensor([IGNORE, IGNORE])
UNKNOWN = torch.tensor([math.nan, math.nan])


def test_a_head_at_chance_costs_one_whatever_its_classes() -> None:
    logits = torch.zeros(2, 6)
    assert alignment_loss(logits, torch.tensor([0, 1]), NOTHING, UNKNOWN).item() == pytest.approx(1.0)
    assert alignment_loss(logits, NOTHING, torch.tensor([2, 0]), UNKNOWN).item() == pytest.approx(1.0)
    both = alignment_loss(logits, torch.tensor([0, 1]), torch.tensor([2, 0]), UNKNOWN)
    assert both.item() == pytest.approx(2.0)


def test_similarity_costs_its_squared_error() -> None:
    logits = torch.zeros(2, 6)
    logits[:, 0] = torch.tensor([0.7, 0.1])
    loss = alignment_loss(logits, NOTHING, NOTHING, torch.tensor([0.2, 0.4]))
    assert loss.item() == pytest.approx((0.5**2 + 0.3**2) / 2)


def test_the_whole_is_its_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 6, generator=generator)
    binary, three_way = torch.tensor([1, 0, IGNORE, 1, IGNORE]), torch.tensor([0, IGNORE, 2, 1, IGNORE])
    similarity = torch.tensor([math.nan, 0.5, math.nan, math.nan, 1.0])
    two = torch.log_softmax(logits[:, 1:3], dim=1)
    three = torch.log_softmax(logits[:, 3:], dim=1)
    expected = -(two[0, 1] + two[1, 0] + two[3, 1]) / 3 / math.log(2)
    expected = expected - (three[0, 0] + three[2, 2] + three[3, 1]) / 3 / math.log(3)
    expected = expected + ((logits[1, 0] - 0.5) ** 2 + (logits[4, 0] - 1) ** 2) / 2
    torch.testing.assert_close(alignment_loss(logits, binary, three_way, similarity), expected)


def test_absent_heads_cost_nothing_and_get_no_gradient() -> None:
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(1)).requires_grad_()
    loss = alignment_loss(logits, torch.tensor([1, IGNORE]), NOTHING, UNKNOWN)
    loss.backward()
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad[:, [0, 3, 4, 5]]) == 0
    assert torch.count_nonzero(logits.grad[1]) == 0
    assert torch.count_nonzero(logits.grad[0, 1:3]) == 2


def test_a_batch_that_knows_nothing_costs_nothing_and_can_still_be_stepped() -> None:
    logits = torch.ones(2, 6, requires_grad=True)
    loss = alignment_loss(logits, NOTHING, NOTHING, UNKNOWN)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad) == 0

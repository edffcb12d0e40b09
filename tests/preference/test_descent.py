from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ragguard.errors import ScoringError
from ragguard.preference.bases import PairBase
from ragguard.preference.batches import represented, rows_of, steps_of, tensors
from ragguard.preference.descent import Step, descend, equally, weighting_of
from ragguard.preference.groups import groups_of
from ragguard.preference.mgda import weights
from ragguard.preference.objective import losses
from ragguard.preference.recipe import Settings
from ragguard.preference.simulated import SimulatedReader, world
from tests.models.random_models import random_pair_model

Losses = Callable[[Tensor], Mapping[str, Tensor]]
RAW = weighting_of("mgda", normalise="none")


class TwoLayers(nn.Module):
    """An encoder of one layer and a head of one, small enough to differentiate by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 2, bias=False)
        self.head = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.encoder.weight.copy_(torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.8, -1.5]]))
            self.head.weight.copy_(torch.tensor([[0.7, -1.1]]))

    def run(self, x: Tensor, found: Losses, weighting: Callable[..., np.ndarray] = RAW) -> Step:
        head = list(self.head.parameters())
        return descend(self.encoder(x), head=head, losses=found, weighting=weighting)


X = torch.tensor([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]])


def test_opposed_equal_objectives_leave_the_encoder_where_it_is() -> None:
    model = TwoLayers()
    taken = model.run(X, lambda z: {"up": model.head(z).sum(), "down": -model.head(z).sum()})
    assert taken.weights == pytest.approx({"up": 0.5, "down": 0.5})
    assert model.encoder.weight.grad is not None
    assert model.encoder.weight.grad.abs().max() == 0.0


def test_one_objective_is_plain_backpropagation() -> None:
    model, plain = TwoLayers(), TwoLayers()
    model.run(X, lambda z: {"only": (model.head(z) ** 2).mean()})
    (plain.head(plain.encoder(X)) ** 2).mean().backward()
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.allclose(mine.grad, other.grad)


def test_equal_weights_are_plain_backpropagation_of_the_mean() -> None:
    model, plain = TwoLayers(), TwoLayers()

    def found(z: Tensor, head: nn.Module) -> dict[str, Tensor]:
        s = head(z)
        return {"a": (s**2).mean(), "b": s.abs().sum(), "c": (z**4).sum()}

    model.run(X, lambda z: found(z, model.head), equally)
    torch.stack(list(found(plain.encoder(X), plain.head).values())).mean().backward()
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.allclose(mine.grad, other.grad, atol=1e-6)


def test_weights_are_solved_on_the_representations_and_not_on_the_parameters() -> None:
    model = TwoLayers()

    def found(z: Tensor) -> dict[str, Tensor]:
        return {"a": (z[:, 0] ** 2).sum(), "b": (z[:, 1] - 3 * z[:, 0]).sum()}

    taken = model.run(X, found)
    z = model.encoder(X).detach().requires_grad_()
    on_z = [torch.autograd.grad(loss, z)[0].flatten().numpy() for loss in found(z).values()]
    on_theta = [
        torch.autograd.grad(loss, model.encoder.weight)[0].flatten().numpy()
        for loss in (found(model.encoder(X))[name] for name in ("a", "b"))
    ]
    assert list(taken.weights.values()) == pytest.approx(weights(np.stack(on_z)).tolist(), abs=1e-6)
    assert abs(weights(np.stack(on_theta))[0] - taken.weights["a"]) > 0.01


def test_the_step_lowers_every_objective() -> None:
    model = TwoLayers()

    def found(z: Tensor) -> dict[str, Tensor]:
        return {"a": ((z[:, 0] - 1) ** 2).sum(), "b": ((z[:, 1] - z[:, 0]) ** 2).sum(), "c": (z**2).mean()}

    before = model.run(X, found).losses
    with torch.no_grad():
        assert model.encoder.weight.grad is not None
        model.encoder.weight -= 1e-3 * model.encoder.weight.grad
    after = found(model.encoder(X))
    assert all(float(after[name].detach()) < before[name] for name in before)


def test_a_solved_objective_does_not_stop_the_step() -> None:
    model = TwoLayers()
    taken = model.run(X, lambda z: {"solved": (z * 0).sum(), "open": (z**2).sum()})
    assert taken.weights == pytest.approx({"solved": 0.0, "open": 1.0})
    assert model.encoder.weight.grad is not None
    assert model.encoder.weight.grad.abs().max() > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_named_and_changes_nothing(bad: float) -> None:
    model = TwoLayers()
    with pytest.raises(ScoringError, match="the broken loss"):
        model.run(X, lambda z: {"fine": z.sum(), "broken": z.sum() * bad})
    assert model.encoder.weight.grad is None
    assert model.head.weight.grad is None


@pytest.mark.parametrize("weighting", ["equal", "mgda"])
@pytest.mark.parametrize("contrastive", ["listwise", "supervised"])
def test_a_step_of_three_objectives_passes_the_encoder_once_each_way(
    weighting: str, contrastive: str
) -> None:
    settings = Settings(contrastive=contrastive, max_tokens=64)  # type: ignore[arg-type]
    base = PairBase(random_pair_model(kind="bert"), max_tokens=64)
    base.trainable(freeze_embeddings=True)
    groups = groups_of(SimulatedReader("prose", world(8)).examples())
    step = steps_of(groups, {g.query_id: g.query_id for g in groups}, settings=settings, epoch=0)[0]
    passes = {"forward": 0, "backward": 0}
    layers = base.module.base_model.encoder.layer  # type: ignore[union-attr]
    layers[0].register_forward_hook(lambda *_: passes.update(forward=passes["forward"] + 1))  # type: ignore[index, union-attr]
    layers[0].register_full_backward_hook(lambda *_: passes.update(backward=passes["backward"] + 1))  # type: ignore[index, union-attr]
    batch = tensors(base.encode(step.pairs), pad=base.pad_id, max_tokens=base.max_tokens)
    rows = rows_of(step, count=len(batch[0]))
    taken = descend(
        represented(base, batch),
        head=base.head(),
        losses=lambda z: losses(z, base.score(z), rows, settings=settings),
        weighting=weighting_of(weighting),
    )
    assert passes == {"forward": 1, "backward": 1}
    assert set(taken.weights) == {"point", "pair", "contrastive"}
    assert sum(taken.weights.values()) == pytest.approx(1.0)
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in base.head() if p.ndim > 1)

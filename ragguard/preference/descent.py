"""One training step for several objectives over one encoder pass and one encoder backward.

Every objective reads the same representations Z of the step's pairs. Gradients
with respect to Z take a backward through the head alone; from them the weights of
the objectives are solved, as constants; then the weighted gradient on Z goes back
through the encoder, once.

Solving on Z bounds from above the length of the combined gradient that solving on
the encoder's own parameters would shorten, at the cost of one backward in all.

References:
    Sener and Koltun (2018), Multi-task learning as multi-objective optimization, section 3.3 (MGDA-UB).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ragguard.errors import ScoringError
from ragguard.preference.mgda import Floats, weights

Weighting = Callable[[Floats], Floats]
"""Gradients on Z, one row an objective -> the objectives' weights."""


@dataclass(frozen=True)
class Step:
    """What one step saw: each objective's loss and weight."""

    losses: Mapping[str, float]
    weights: Mapping[str, float]


def equally(gradients: Floats) -> Floats:
    """Return equal weights."""
    return np.full(len(gradients), 1.0 / len(gradients))


def weighting_of(name: str, *, normalise: str = "l2") -> Weighting:
    """Return equal weights for "equal", for "mgda" those of the shortest combination."""
    return equally if name == "equal" else lambda gradients: weights(gradients, normalise=normalise)


def descend(
    z: Tensor,
    *,
    head: list[nn.Parameter],
    losses: Callable[[Tensor], Mapping[str, Tensor]],
    weighting: Weighting,
) -> Step:
    """Add the weighted objectives' gradient to every parameter's, and say how they were weighted.

    Args:
        z: representations on the encoder's graph, shape (rows, width).
        head: parameters that the losses read besides Z.
        losses: of a copy of Z that the encoder does not know; scores are computed in it.
        weighting: from gradients on Z, flattened, to weights.

    Raises:
        ScoringError: a loss or a gradient is NaN or infinite; nothing was changed.
    """
    leaf = z.detach().requires_grad_()
    found = dict(losses(leaf))
    inputs = [leaf, *head]
    names = list(found)
    gradients: list[tuple[Tensor, ...]] = []
    for name in names:
        if not bool(torch.isfinite(found[name])):
            raise ScoringError(f"the {name} loss is not finite")
        each = torch.autograd.grad(found[name], inputs, retain_graph=True, allow_unused=True)
        gradients.append(
            tuple(torch.zeros_like(i) if g is None else g for i, g in zip(inputs, each, strict=True))
        )
    on_z = np.stack([g[0].reshape(-1).double().numpy() for g in gradients])
    if not np.isfinite(on_z).all():
        raise ScoringError("a gradient on the representations is not finite")
    alpha = weighting(on_z)
    for place, parameter in enumerate(head, start=1):
        mixed = _mixed([g[place] for g in gradients], alpha)
        parameter.grad = mixed if parameter.grad is None else parameter.grad + mixed
    z.backward(_mixed([g[0] for g in gradients], alpha).to(z.dtype))
    return Step(
        {name: float(found[name].detach()) for name in names},
        {name: float(a) for name, a in zip(names, alpha, strict=True)},
    )


def _mixed(gradients: list[Tensor], alpha: Floats) -> Tensor:
    total = torch.zeros_like(gradients[0])
    for gradient, weight in zip(gradients, alpha, strict=True):
        total += float(weight) * gradient
    return total

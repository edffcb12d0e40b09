"""Low-rank adapters: a frozen matrix W becomes W + (alpha / r) B A, and only A and B are trained.

B starts at zero, so an adapter that has learned nothing changes nothing. For
inference the product is added to W once, and costs nothing from then on.

References:
    Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import linear

from ragguard.errors import ConfigurationError, InvalidValueError, UnreadableFileError
from ragguard.models.pair_weights import require_finite, require_same_names

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear projections of a decoder's layer: all of them."""
STORAGES = ("float32", "float16")
_FACTORS = ("lora_a", "lora_b")
_BACKBONE = "base_model."


class LoraLinear(nn.Module):
    """A frozen linear layer and the two factors of its change.

    Args:
        base: without bias or with; its weights are frozen.
        rank: columns of B and rows of A.
        alpha: the change is scaled by alpha / rank.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, hidden: Tensor) -> Tensor:
        change = linear(linear(hidden, self.lora_a), self.lora_b)
        out: Tensor = self.base(hidden) + change * self.scale
        return out

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return one linear layer that does the same; the base's own weights are left as they are."""
        weight = self.base.weight.float() + self.scale * (self.lora_b.float() @ self.lora_a.float())
        one = nn.Linear(*reversed(weight.shape), bias=False, device="meta")
        one.weight = nn.Parameter(weight.to(self.base.weight.dtype), requires_grad=False)
        one.bias = self.base.bias
        return one


def add_lora(module: nn.Module, *, rank: int, alpha: float, targets: Sequence[str] = TARGETS) -> int:
    """Freeze a module and put an adapter on each of its linear layers of these names; return how many.

    Raises:
        InvalidValueError: rank or alpha is not above 0, or no layer has such a name.
    """
    if rank < 1 or not 0 < alpha < math.inf:
        raise InvalidValueError(f"rank is {rank} and alpha {alpha}", hint="both are above 0")
    module.requires_grad_(False)
    found = [
        (parent, name, child)
        for parent in list(module.modules())
        for name, child in parent.named_children()
        if name in targets and isinstance(child, nn.Linear)
    ]
    if not found:
        raise InvalidValueError(
            "no linear layer has the name of a target", hint=f"wanted: {', '.join(targets)}"
        )
    for parent, name, child in found:
        setattr(parent, name, LoraLinear(child, rank=rank, alpha=alpha))
    return len(found)


def merge_lora(module: nn.Module) -> None:
    """Put one plain linear layer in the place of every adapted one."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())


def has_lora(module: nn.Module) -> bool:
    """Return whether any layer is adapted and not merged."""
    return any(isinstance(each, LoraLinear) for each in module.modules())


def adapter_state(encoder: nn.Module) -> dict[str, Tensor]:
    """Return what is an adapted encoder's own: the factors, and the heads; nothing of the base."""
    state = encoder.state_dict()
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(_BACKBONE) or name.endswith(_FACTORS)
    }


def load_adapter_state(encoder: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Copy factors and heads into an adapted encoder, all of them.

    Raises:
        UnreadableFileError: one is missing, left over, of another shape or not finite.
    """
    require_same_names(adapter_state(encoder), state, source=source)
    require_finite(state, source=source)
    encoder.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)


@dataclass(frozen=True)
class Adapter:
    """What an adapter's file holds.

    Attributes:
        state: factors and heads.
        base_sha256: of the file of the base it was trained on.
        rank: of every factor.
        alpha: the changes are scaled by alpha / rank.
        bidirectional: whether tokens saw the ones after them.
    """

    state: Mapping[str, Tensor]
    base_sha256: str
    rank: int
    alpha: float
    bidirectional: bool = False

    def require_base(self, sha256: str) -> None:
        """Return if this is the base it was trained on.

        Raises:
            ConfigurationError: it is another: the sum would be noise that looks like a model.
        """
        if sha256 != self.base_sha256:
            raise ConfigurationError(
                f"the adapter was trained on a base of sha256 {self.base_sha256[:12]}..., "
                f"and this one has {sha256[:12]}...",
                hint="install the version of the base that the adapter's card names",
            )


def save_adapter(path: Path, adapter: Adapter, *, storage: str = "float16") -> None:
    """Write an adapter as safetensors; the heads are float32 whatever the factors are.

    Raises:
        InvalidValueError: unknown storage.
    """
    if storage not in STORAGES:
        raise InvalidValueError(f"unknown storage {storage!r}", hint=f"use one of {', '.join(STORAGES)}")
    dtype = torch.float16 if storage == "float16" else torch.float32
    packed = {
        name: tensor.detach().to(dtype if name.endswith(_FACTORS) else torch.float32, copy=True).contiguous()
        for name, tensor in adapter.state.items()
    }
    require_finite(packed, source="the adapter")
    metadata = {
        "format": "pt",
        "base_sha256": adapter.base_sha256,
        "rank": str(adapter.rank),
        "alpha": repr(float(adapter.alpha)),
        "bidirectional": str(int(adapter.bidirectional)),
    }
    save_file(packed, path, metadata=metadata)


def load_adapter(path: Path) -> Adapter:
    """Return the adapter in a file, its tensors in float32.

    Raises:
        UnreadableFileError: missing, truncated, or not an adapter's.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            told = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        return Adapter(
            state=state,
            base_sha256=told["base_sha256"],
            rank=int(told["rank"]),
            alpha=float(told["alpha"]),
            bidirectional=told["bidirectional"] == "1",
        )
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UnreadableFileError(
            f"{path.name} is no adapter: {type(error).__name__}",
            hint="it is missing, truncated or another file",
        ) from error

"""The three heads in a transformers folder: by their names, or as one classifier of six outputs.

The alignment model is exactly a `RobertaForSequenceClassification` whose six
outputs are regression, binary (2) and 3-way (3), with the pooler as the
classifier's dense layer; so it can be exported to anything that runs one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ragguard.errors import ConfigurationError
from ragguard.models.pair_logits import BINARY, LOGIT_NAMES, LOGITS, REGRESSION, THREE_WAY

if TYPE_CHECKING:
    from torch import Tensor

_BACKBONES = ("roberta.", "bert.", "base_model.")
_HEADS = ("bin_layer.", "tri_layer.", "reg_layer.")
_ROWS = {"reg_layer": slice(REGRESSION, REGRESSION + 1), "bin_layer": BINARY, "tri_layer": THREE_WAY}
_UNNAMED = tuple(f"LABEL_{i}" for i in range(LOGITS))


def three_head_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that the alignment model has, under its names; the rest is known to be unused.

    Left out: the language-model head that the published model computes and drops,
    and the constant table of positions.
    """
    kept = {}
    for name, tensor in state.items():
        if name.startswith("mlm_head.") or name.endswith("embeddings.position_ids"):
            continue
        prefix = next((each for each in _BACKBONES if name.startswith(each)), None)
        kept["base_model." + name.removeprefix(prefix) if prefix else name] = tensor
    return kept


def classifier_state(
    config: Mapping[str, Any], state: Mapping[str, Tensor], *, source: str
) -> dict[str, Tensor]:
    """Return the weights of a transformers folder under the alignment model's names.

    Raises:
        ConfigurationError: neither three heads nor one classifier of six outputs in our order.
    """
    kept = three_head_state(state)
    if any(name.startswith(_HEADS) for name in kept):
        return kept  # a head that is still missing is named when the encoder is built
    names = (
        ("classifier.out_proj", "classifier") if "classifier.out_proj.weight" in kept else ("classifier",) * 2
    )
    weight, bias = kept.pop(f"{names[0]}.weight", None), kept.pop(f"{names[0]}.bias", None)
    outputs = 0 if weight is None else len(weight)
    if weight is None or bias is None or outputs != LOGITS or len(bias) != LOGITS:
        raise ConfigurationError(
            f"{source} has {outputs} outputs, an alignment model has {LOGITS}",
            hint=f"{', '.join(LOGIT_NAMES)}; heads that a model lacks are not made up",
        )
    _require_our_order(config, source=source)
    for part in (
        "weight",
        "bias",
    ):  # RoBERTa's classifier holds the pooler's layer, BERT's leaves it in place
        dense = kept.pop(f"classifier.dense.{part}", None)
        if dense is not None:
            kept[f"base_model.pooler.dense.{part}"] = dense
    for head, rows in _ROWS.items():
        kept[f"{head}.weight"], kept[f"{head}.bias"] = weight[rows], bias[rows]
    return kept


def six_output_classifier(state: Mapping[str, Tensor], *, backbone: str) -> dict[str, Tensor]:
    """Return the alignment model's weights as those of a transformers sequence classifier.

    Args:
        state: of a `PairEncoder`.
        backbone: "roberta" or "bert".
    """
    import torch

    renamed = {
        f"{backbone}." + name.removeprefix("base_model."): tensor
        for name, tensor in state.items()
        if name.startswith("base_model.")
    }
    last = "classifier.out_proj" if backbone == "roberta" else "classifier"
    for part in ("weight", "bias"):
        renamed[f"{last}.{part}"] = torch.cat([state[f"{head}.{part}"] for head in _ROWS])
        if backbone == "roberta":
            renamed[f"classifier.dense.{part}"] = renamed.pop(f"roberta.pooler.dense.{part}")
    return renamed


def _require_our_order(config: Mapping[str, Any], *, source: str) -> None:
    """Six outputs may be six emotions: labels that say something must say what we mean."""
    labels = config.get("id2label")
    if labels is None:
        return
    found = tuple(str(labels.get(str(i))) for i in range(LOGITS)) if isinstance(labels, dict) else ()
    if found not in (LOGIT_NAMES, _UNNAMED):
        raise ConfigurationError(
            f"the six outputs of {source} are labelled as something else",
            hint=f"an alignment model's are {', '.join(LOGIT_NAMES)}, in this order",
        )

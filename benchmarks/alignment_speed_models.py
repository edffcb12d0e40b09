"""Alignment models of a published shape with random weights, for speed, and the same for a CrossEncoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ragguard.models.bundled import bundled_folder
from ragguard.models.pair_classifier import six_output_classifier
from ragguard.models.pair_encoder import LOGITS, PairEncoder
from ragguard.models.pair_parts import PairModel
from ragguard.models.pair_tokens import PairTokens

SHAPES = ("base", "small")
MAX_TOKENS = 512


def random_model(shape: str, *, seed: int = 0) -> PairModel:
    """Return RoBERTa-base ("base") or MiniLM-L6 ("small") under the bundled tokenizer."""
    definition = (bundled_folder() / "tokenizer.json").read_text(encoding="utf-8")
    torch.manual_seed(seed)
    encoder = PairEncoder.from_config(_config(shape), dropout=0.0).eval().requires_grad_(False)
    for head in (encoder.reg_layer, encoder.bin_layer, encoder.tri_layer):
        head.weight.normal_(0.0, 0.2)  # logits that differ from pair to pair
    tokens = PairTokens(definition, max_tokens=MAX_TOKENS)
    return PairModel(encoder, tokens, name=f"random-{shape}", weights_sha256=f"random-{shape}-{seed}")


def cross_encoder(model: PairModel, folder: Path, *, dtype: str) -> Any:
    """Return `sentence_transformers.CrossEncoder` on the same weights, written to the folder."""
    from sentence_transformers import CrossEncoder
    from transformers import PreTrainedTokenizerFast

    if not (folder / "model.safetensors").exists():
        config = model.encoder.base_model.config
        kind = str(config.model_type)
        (folder / "config.json").write_text(
            json.dumps(
                config.to_dict()
                | {
                    "architectures": [
                        f"{'Roberta' if kind == 'roberta' else 'Bert'}ForSequenceClassification"
                    ],
                    "id2label": {str(i): str(i) for i in range(LOGITS)},
                    "label2id": {str(i): i for i in range(LOGITS)},
                }
            ),
            encoding="utf-8",
        )
        state = six_output_classifier(model.encoder.state_dict(), backbone=kind)
        save_file(
            {k: v.contiguous() for k, v in state.items()}, folder / "model.safetensors", {"format": "pt"}
        )
        (folder / "tokenizer.json").write_text(model.tokens.definition, encoding="utf-8")
        PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            model_max_length=MAX_TOKENS,
            **dict(
                zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIAL, strict=True)
            ),
        ).save_pretrained(folder)
    return CrossEncoder(
        str(folder),
        device="cpu",
        local_files_only=True,
        activation_fn=torch.nn.Identity(),
        model_kwargs={"dtype": getattr(torch, dtype)},
    )


_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def _config(shape: str) -> Any:
    from transformers import BertConfig, RobertaConfig

    if shape == "base":
        return RobertaConfig(
            vocab_size=50265,
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=0,
        )
    return BertConfig(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )

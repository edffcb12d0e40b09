"""A tiny Llama with random weights, as a base for adapters: in memory, or as a folder."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers import decoders as token_decoders

from ragguard.models.decoder_pair import DecoderPairEncoder
from ragguard.models.decoder_pair_base import DecoderBase, decoder_base
from ragguard.models.lora import LoraLinear, add_lora
from tests.models.random_models import TEXTS


@functools.cache
def chat_tokenizer(vocabulary: int = 400) -> str:
    """The JSON of a byte-level BPE tokenizer with the ChatML control tokens, as language models have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = token_decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return str(tokenizer.to_str())


def random_llama(*, seed: int = 0, layers: int = 2, width: int = 32) -> Any:
    """A transformers model of grouped heads, its weights spread out so that pairs differ clearly."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=Tokenizer.from_str(chat_tokenizer()).get_vocab_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rope_theta=1000.0,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3) if parameter.ndim == 2 else parameter.uniform_(0.5, 1.5)
    return model


def write_base(folder: Path, *, seed: int = 0, **changed: Any) -> Path:
    """Write a random Llama as a plain folder; `changed` replaces settings."""
    folder.mkdir(parents=True, exist_ok=True)
    model = random_llama(seed=seed)
    save_file(
        {k: v.contiguous() for k, v in model.model.state_dict(prefix="model.").items()},
        folder / "model.safetensors",
    )
    config = {**json.loads(model.config.to_json_string(use_diff=False)), **changed}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_text(chat_tokenizer(), encoding="utf-8")
    return folder


def random_base(folder: Path, *, seed: int = 0) -> DecoderBase:
    """The base in a folder that is written first."""
    return decoder_base(str(write_base(folder, seed=seed)))


def learned(
    base: DecoderBase, *, rank: int = 4, seed: int = 1, bidirectional: bool = False
) -> DecoderPairEncoder:
    """The base under an adapter that is not zero, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = DecoderPairEncoder.from_base(base, bidirectional=bidirectional)
        add_lora(encoder.base_model, rank=rank, alpha=2.0 * rank)
        for module in encoder.modules():
            if isinstance(module, LoraLinear):
                torch.nn.init.normal_(module.lora_b, std=0.1)
    return encoder.eval()

"""Small alignment models with random weights, and checkpoint files of the published layout around them.

They know nothing, but every path of loading and scoring runs through them.
"""

from __future__ import annotations

import functools
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders

from ragguard.models.pair_encoder import PairEncoder
from ragguard.models.pair_model import PairModel
from ragguard.models.pair_tokens import PairTokens

TEXTS = (
    "The bridge over the river opened in 1978 and was rebuilt in 1987 after a flood of the lower town.",
    "Ada founded Acme. Acme is based in Oslo, and the company sells bicycles, lamps and coffee.",
    "Rex bought Dino in 2019 after Dino's chair resigned; Dino did not buy Rex.",
    "About 2.1 million people live there, growth rose from 4% to 6%, and income was $143 billion.",
    "Water boils at 100 degrees; the recipe needs 250 grams of flour, two eggs and a little salt.",
)


@functools.cache
def roberta_tokenizer(vocabulary: int = 400) -> str:
    """The JSON of a byte-level BPE tokenizer with RoBERTa's special tokens, ids and pair template."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = token_decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return str(tokenizer.to_str())


@functools.cache
def bert_tokenizer() -> str:
    """The JSON of a WordPiece tokenizer with BERT's special tokens and pair template."""
    signs = sorted({sign for text in TEXTS for sign in text.lower() if not sign.isspace()})
    words = sorted({word for text in TEXTS for word in re.findall(r"[a-z]{2,}|[0-9]{2,}", text.lower())})
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{sign}" for sign in signs), *words]
    tokenizer = Tokenizer(models.WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(entries[:5])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return str(tokenizer.to_str())


def random_config(*, kind: str = "roberta", layers: int = 2, width: int = 64, positions: int = 128) -> Any:
    """A transformers configuration; one attention head for each 64 of the width, as RoBERTa has."""
    from transformers import BertConfig, RobertaConfig

    definition = roberta_tokenizer() if kind == "roberta" else bert_tokenizer()
    common = {
        "vocab_size": Tokenizer.from_str(definition).get_vocab_size(),
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // 64),
        "intermediate_size": 2 * width,
    }
    if kind == "roberta":
        return RobertaConfig(
            **common,
            max_position_embeddings=positions + 2,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
        )
    return BertConfig(**common, max_position_embeddings=positions)


def random_pair_model(
    *, kind: str = "roberta", layers: int = 2, width: int = 64, max_tokens: int = 128, seed: int = 0
) -> PairModel:
    """A model with random weights, spread out so that different pairs get clearly different logits."""
    config = random_config(kind=kind, layers=layers, width=width, positions=max_tokens)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = PairEncoder.from_config(config, dropout=0.0).eval().requires_grad_(False)
        for name, parameter in encoder.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, 0.35 if "layer" in name or "pooler" in name else 0.5)
            elif not name.endswith("LayerNorm.weight"):
                parameter.normal_(0.0, 0.1)
    definition = roberta_tokenizer() if kind == "roberta" else bert_tokenizer()
    tokens = PairTokens(definition, max_tokens=max_tokens)
    return PairModel(encoder=encoder, tokens=tokens, name=f"random-{kind}", weights_sha256=f"random-{seed}")


def published_state(model: PairModel) -> OrderedDict[str, torch.Tensor]:
    """The `state_dict` of the published module: our weights, the positions' table, an unused LM head."""
    state = OrderedDict((name, tensor.clone()) for name, tensor in model.encoder.state_dict().items())
    config = model.encoder.base_model.config
    width, words = config.hidden_size, config.vocab_size
    state["base_model.embeddings.position_ids"] = torch.arange(config.max_position_embeddings)[None]
    generator = torch.Generator().manual_seed(7)
    for name, shape in {
        "bias": (words,),
        "dense.weight": (width, width),
        "dense.bias": (width,),
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
        "decoder.weight": (words, width),
        "decoder.bias": (words,),
    }.items():
        state[f"mlm_head.{name}"] = torch.randn(shape, generator=generator)
    return state


def published_checkpoint(model: PairModel, **changed: Any) -> dict[str, Any]:
    """The top level of a Lightning 1.7-1.9 checkpoint around the model; `changed` replaces entries."""
    state = published_state(model)
    adam = {
        place: {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(t), "exp_avg_sq": torch.zeros_like(t)}
        for place, t in enumerate(state.values())
        if t.is_floating_point()
    }
    groups = [{"lr": 1e-5, "eps": 1e-6, "weight_decay": 0.1, "params": list(adam)}]
    return {
        "epoch": 2,
        "global_step": 30,
        "pytorch-lightning_version": "1.7.7",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "mnli_snli.ckpt"}},
        "optimizer_states": [{"state": adam, "param_groups": groups}],
        "lr_schedulers": [{"base_lrs": [1e-5], "last_epoch": 30, "_last_lr": [0.0]}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"model": "roberta-base", "using_pretrained": True, "learning_rate": 1e-5},
        **changed,
    }


def write_checkpoint(path: Path, model: PairModel, *, with_tokenizer: bool = True, **changed: Any) -> Path:
    """Write the model as a published `.ckpt`, its tokenizer beside it unless told not to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(published_checkpoint(model, **changed), path)
    if with_tokenizer:
        (path.parent / "tokenizer.json").write_text(model.tokens.definition, encoding="utf-8")
    return path


@torch.inference_mode()
def logits_of(model: PairModel, pairs: list[tuple[str, str]]) -> torch.Tensor:
    """Logits (n, 6), one pair at a time and unpadded: the plainest way there is."""
    rows = []
    for one in model.tokens.encode(pairs):
        ids = torch.tensor([one.ids])
        types = torch.tensor([one.types]) if model.uses_segments else None
        rows.append(model.encoder(ids, torch.ones_like(ids), types)[0])
    return torch.stack(rows) if rows else torch.zeros(0, 6)

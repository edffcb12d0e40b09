"""What a reranker can be trained from: the relevance head of a pair model, or a CrossEncoder's one output.

Both keep the head they have. A fresh one would start from no skill at ranking at
all, and a few hundred questions do not teach it back.
"""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ragguard.errors import ConfigurationError, InvalidValueError
from ragguard.models.pair_folder import save_pair_model
from ragguard.models.pair_logits import ALIGNED
from ragguard.models.pair_model import SHIPPED, PairModel, load_pair_model
from ragguard.models.pair_tokenizer import tokens_for
from ragguard.preference.card import KIND, folder_kind, write_sidecar

Pair = tuple[str, str]
"""A question and a passage."""
Encoded = tuple[tuple[int, ...], tuple[int, ...]]
"""Ids and segment ids of a pair."""


class Base(ABC):
    """A reranker on its way to another: pairs to representations Z, and Z to one score.

    Attributes:
        module: encoder and heads; dropout stays off, as in evaluation.
        name: for people.
        sha256: of the weights it started from, in hex.
        pad_id: of the tokenizer.
        max_tokens: of a pair, special tokens included.
        uses_segments: whether the encoder is told which text a token is of.
    """

    module: nn.Module
    name: str
    sha256: str
    pad_id: int
    max_tokens: int
    uses_segments: bool

    @abstractmethod
    def encode(self, pairs: Sequence[Pair]) -> list[Encoded]:
        """Return the ids of every pair; a passage too long loses its end, a question stays whole."""

    @abstractmethod
    def represent(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """Return what the head reads, shape (rows, width), on the encoder's graph."""

    @abstractmethod
    def score(self, z: Tensor) -> Tensor:
        """Return one score a row, higher is better, shape (rows,)."""

    @abstractmethod
    def head(self) -> list[nn.Parameter]:
        """Return the parameters that `score` reads."""

    @abstractmethod
    def save(self, folder: Path, card: Mapping[str, Any]) -> Path:
        """Write a folder that its own library loads, with the card inside."""

    def words(self) -> nn.Parameter | None:
        """Return the table of words, which may stay as it is."""
        found: Any = self.module
        inner = getattr(found, "base_model", found)
        table: nn.Parameter = inner.get_input_embeddings().weight
        return table

    def trainable(self, *, freeze_embeddings: bool) -> dict[str, nn.Parameter]:
        """Return the parameters to train by name, and let gradients flow to these alone.

        Heads that no score is read from stay as they are.
        """
        self.module.requires_grad_(False)
        table, head = self.words(), {id(p) for p in self.head()}
        unused = {id(p) for p in self.unused()}
        found = {}
        for name, parameter in self.module.named_parameters():
            if id(parameter) in unused or (
                freeze_embeddings and parameter is table and id(table) not in head
            ):
                continue
            parameter.requires_grad_(True)
            found[name] = parameter
        return found

    def unused(self) -> list[nn.Parameter]:
        """Return the parameters that no score depends on."""
        return []


class PairBase(Base):
    """The binary head of a pair model, read as log-odds that the passage answers the question."""

    def __init__(self, model: PairModel, *, max_tokens: int | None = None) -> None:
        config = model.encoder.base_model.config.to_dict()
        limit = model.tokens.max_tokens if max_tokens is None else max_tokens
        self._tokens = tokens_for(model.tokens.definition, config, max_tokens=limit, source=model.name)
        self._encoder = copy.deepcopy(model.encoder).float().eval()
        self._model = model
        self.module = self._encoder
        self.name, self.sha256 = model.name, model.weights_sha256
        self.pad_id, self.max_tokens = self._tokens.pad_id, self._tokens.max_tokens
        self.uses_segments = model.uses_segments

    def encode(self, pairs: Sequence[Pair]) -> list[Encoded]:
        found = self._tokens.encode([(passage, question) for question, passage in pairs])
        return [(one.ids, one.types) for one in found]

    def represent(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        inputs = {"token_type_ids": types} if self.uses_segments else {}
        found: Tensor = self._encoder.base_model(input_ids=ids, attention_mask=mask, **inputs).pooler_output
        return found.float()

    def score(self, z: Tensor) -> Tensor:
        two: Tensor = self._encoder.bin_layer(z)
        return two[:, ALIGNED] - two[:, 1 - ALIGNED]

    def head(self) -> list[nn.Parameter]:
        return list(self._encoder.bin_layer.parameters())

    def unused(self) -> list[nn.Parameter]:
        return [*self._encoder.tri_layer.parameters(), *self._encoder.reg_layer.parameters()]

    def save(self, folder: Path, card: Mapping[str, Any]) -> Path:
        return save_pair_model(
            folder,
            self._encoder,
            tokenizer=self._tokens.definition,
            max_tokens=self.max_tokens,
            card={**card, "base_card": dict(self._model.card)},
        )


class CrossEncoderBase(Base):
    """A sentence-transformers CrossEncoder of one output."""

    def __init__(self, folder: Path, *, max_tokens: int | None = None) -> None:
        from sentence_transformers import CrossEncoder

        try:
            self._model: Any = CrossEncoder(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        except Exception as error:  # transformers raises OSError, ValueError, KeyError and its own
            raise ConfigurationError(
                f"{folder.name} is no CrossEncoder: {type(error).__name__}",
                hint="give 'bundled', a model's folder, or a sentence-transformers CrossEncoder folder",
            ) from error
        network: Any = self._model.model
        outputs = int(getattr(network.config, "num_labels", 0))
        if outputs != 1:
            raise InvalidValueError(
                f"{folder.name} has {outputs} outputs", hint="a reranker has one; num_labels must be 1"
            )
        self._tokenizer: Any = self._model.tokenizer
        self._head = _last_linear(network, source=folder.name)
        self.module = network.float().eval()
        self.name, self.sha256 = folder.name, _state_sha256(network)
        most = min(int(self._tokenizer.model_max_length), int(network.config.max_position_embeddings))
        self.max_tokens = most if max_tokens is None else min(max_tokens, most)
        self.pad_id = int(self._tokenizer.pad_token_id or 0)
        self.uses_segments = "token_type_ids" in self._tokenizer.model_input_names
        self._require_linear(folder.name)

    def encode(self, pairs: Sequence[Pair]) -> list[Encoded]:
        return [self._encoded(question, passage) for question, passage in pairs]

    def _encoded(self, question: str, passage: str) -> Encoded:
        alone = self._tokenizer(question, passage, truncation=False)
        if len(alone["input_ids"]) > self.max_tokens:
            spare = self.max_tokens - len(self._tokenizer(question, "")["input_ids"])
            cut = "only_second" if spare > 0 else "longest_first"
            alone = self._tokenizer(question, passage, truncation=cut, max_length=self.max_tokens)
        ids = tuple(alone["input_ids"])
        return ids, tuple(alone.get("token_type_ids") or (0,) * len(ids))

    def represent(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        read: list[Tensor] = []
        hook = self._head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            self._logits(ids, mask, types)
        finally:
            hook.remove()
        return read[0].float()

    def score(self, z: Tensor) -> Tensor:
        found: Tensor = self._head(z)
        return found[:, 0]

    def head(self) -> list[nn.Parameter]:
        return list(self._head.parameters())

    def save(self, folder: Path, card: Mapping[str, Any]) -> Path:
        if folder.exists() and folder_kind(folder) != KIND and (folder.is_file() or any(folder.iterdir())):
            raise InvalidValueError(
                f"{folder.name} exists and is no reranker of ragguard",
                hint="give a folder that does not exist",
            )
        self._model.save_pretrained(str(folder), create_model_card=False)
        return write_sidecar(folder, card)

    def _logits(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        inputs = {"token_type_ids": types} if self.uses_segments else {}
        found: Tensor = self.module(input_ids=ids, attention_mask=mask, **inputs).logits
        return found

    @torch.inference_mode()
    def _require_linear(self, source: str) -> None:
        """The score must be what the model gives, not what its last layer alone would."""
        ids = torch.tensor([self.encode([("what is it", "it is this")])[0][0]])
        mask, types = torch.ones_like(ids), torch.zeros_like(ids)
        z = self.represent(ids, mask, types)
        if z.ndim != 2 or not torch.allclose(self.score(z), self._logits(ids, mask, types)[:, 0], atol=1e-4):
            raise ConfigurationError(
                f"the output of {source} is not its last linear layer's",
                hint="use a classifier on one vector",
            )


def base_of(base: str | Path | PairModel, *, max_tokens: int | None = None) -> Base:
    """Return what to train from.

    Args:
        base: "bundled", a loaded pair model, its folder, or the folder of a
            sentence-transformers CrossEncoder.
        max_tokens: of a pair; None for what it takes.

    Raises:
        InvalidValueError: the CrossEncoder has another number of outputs than one.
        ConfigurationError: it is neither, or its score is not linear in one vector.
        UnreadableFileError: a file is missing, malformed or altered.
    """
    if isinstance(base, PairModel):
        return PairBase(base, max_tokens=max_tokens)
    if base in SHIPPED:
        return PairBase(load_pair_model(base), max_tokens=max_tokens)
    folder = Path(base).expanduser()
    if not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder {folder.name!r}", hint="give 'bundled' or a model's folder"
        )
    if (folder / "ragguard.json").is_file():
        return PairBase(load_pair_model(folder), max_tokens=max_tokens)
    return CrossEncoderBase(folder, max_tokens=max_tokens)


def _last_linear(network: nn.Module, *, source: str) -> nn.Linear:
    found = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == 1]
    if len(found) != 1:
        raise ConfigurationError(
            f"{source} has {len(found)} linear layers of one output", hint="a reranker has one, its last"
        )
    return found[0]


def _state_sha256(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(json.dumps([name, list(tensor.shape), str(tensor.dtype)]).encode())
        digest.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

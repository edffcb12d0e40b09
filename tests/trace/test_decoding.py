"""Steering a model away from denied spans: on a tiny random model, and on SmolLM2."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.errors import GuardError, InvalidValueError
from ragguard.trace.corpus import TraceCorpus
from ragguard.trace.decoding import TraceLogitsProcessor
from ragguard.trace.documents import TraceDocument
from ragguard.trace.index import TraceIndex
from ragguard.trace.tokens import tokenise
from tests.models.random_models import roberta_tokenizer

LEAST = 4
SECRET = "Ada founded Acme in Oslo and the company sells bicycles, lamps and coffee."


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    # So small a model is slower on several.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def corpus_of(folder: Path, *texts: str, trusted: Sequence[str] = ()) -> dict[str, TraceCorpus]:
    index = TraceIndex.build(
        folder,
        deny=[TraceDocument(f"d{i}", text) for i, text in enumerate(texts)],
        trusted=[TraceDocument(f"t{i}", text) for i, text in enumerate(trusted)],
    )
    return dict(index.corpora)


@functools.cache
def tokenizer() -> Any:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(roberta_tokenizer()),
        bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        padding_side="left",
    )  # fmt: skip


@functools.cache
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer()), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False,
        bos_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


class Recites:
    """Makes a model say one text, whatever it was asked, as a strong memory would."""

    def __init__(self, text: str, width: int) -> None:
        self.ids = tokenizer()(text, add_special_tokens=False)["input_ids"]
        self.width = width

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        place = input_ids.shape[1] - self.width
        if place < len(self.ids):
            scores = scores.clone()
            scores[:, self.ids[place]] += 10.0
        return scores


def continued(prompts: Sequence[str], *processors: Any, tokens: int = 32, **how: Any) -> list[str]:
    batch = tokenizer()(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)
    width = batch["input_ids"].shape[1]
    with torch.inference_mode():
        ids = model().generate(
            batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=tokens,
            logits_processor=list(processors),
            **{"do_sample": False, **how},
        )
    return [tokenizer().decode(row[width:], skip_special_tokens=True) for row in ids]


def width_of(prompts: Sequence[str]) -> int:
    return int(
        tokenizer()(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)[
            "input_ids"
        ].shape[1]
    )


def held(corpus: TraceCorpus, text: str, least: int = LEAST) -> bool:
    return bool(corpus.matches(tokenise(text), least=least))


def test_what_a_model_recites_is_cut_off_before_the_match_is_whole(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    width = width_of(["Who founded Acme?"])
    recites = Recites(SECRET, width)
    (free,) = continued(["Who founded Acme?"], recites)
    assert held(deny, free, 12)
    steered = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, prompt_tokens=width)
    (safe,) = continued(["Who founded Acme?"], recites, steered)
    assert not held(deny, safe)
    assert safe.startswith("Ada founded Acme")  # three words are no match yet


@pytest.mark.parametrize(
    "how", [{}, {"do_sample": True, "temperature": 1.5}, {"num_beams": 3}], ids=["greedy", "sampled", "beams"]
)
def test_no_row_of_a_batch_gains_a_match_however_it_is_decoded(tmp_path: Path, how: dict[str, Any]) -> None:
    torch.manual_seed(1)
    prompts = ["The bridge", "Ada founded Acme in 1978 and", "About"]
    said = continued(prompts, **how)
    deny = corpus_of(tmp_path / "i", SECRET, *said)["deny"]
    assert any(held(deny, text) for text in said)
    width = width_of(prompts)
    steered = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, prompt_tokens=width)
    torch.manual_seed(1)
    for text in continued(prompts, Recites(SECRET, width), steered, **how):
        assert not held(deny, text)


def test_a_candidate_that_ends_inside_a_word_is_judged_by_the_word_it_makes(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", "the code is bridgehead")["deny"]
    steered = TraceLogitsProcessor(deny, tokenizer(), least=4, candidates=len(tokenizer()))
    split = tokenizer()("the code is bridgehead", add_special_tokens=False)["input_ids"]
    assert tokenizer().decode(split[:-1]).startswith("the code is bridge")
    free = torch.zeros(1, len(tokenizer()))
    free[0, split[-1]] = 5.0
    after = steered(torch.tensor([split[:-1]]), free)
    assert after[0, split[-1]] == -torch.inf
    # The same piece after another word makes another word.
    other = [*tokenizer()("the code is not", add_special_tokens=False)["input_ids"]]
    assert torch.equal(steered(torch.tensor([other]), free), free)
    assert free[0, split[-1]] == 5.0


def test_what_was_not_examined_cannot_slip_through(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    ids = tokenizer()("Ada founded Acme", add_special_tokens=False)["input_ids"]
    into = tokenizer()(" in", add_special_tokens=False)["input_ids"][0]
    scores = torch.randn(1, len(tokenizer()), generator=torch.Generator().manual_seed(0))
    for place in (9.0, -9.0):  # the first candidate and the last
        scores[0, into] = place
        after = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, candidates=3)(
            torch.tensor([ids]), scores
        )
        assert after[0, into] == -torch.inf
        assert torch.isfinite(after).any()


def test_more_are_examined_while_all_of_the_first_are_vetoed(tmp_path: Path) -> None:
    pieces = {i: tokenizer().decode([i]) for i in range(len(tokenizer()))}
    words = {i: p for i, p in pieces.items() if p.startswith(" ") and p.strip().isalpha()}
    bad = dict(itertools.islice(words.items(), 20))
    texts = [f"ada sells old{piece}" for piece in bad.values()]
    deny = corpus_of(tmp_path / "i", *texts)["deny"]
    scores = torch.zeros(1, len(tokenizer()))
    scores[0, list(bad)] = torch.linspace(5, 9, len(bad))
    allowed = next(i for i in words if i not in bad)
    scores[0, allowed] = 4.0
    ids = tokenizer()("ada sells old", add_special_tokens=False)["input_ids"]
    after = TraceLogitsProcessor(deny, tokenizer(), least=4, candidates=2)(torch.tensor([ids]), scores)
    assert int(after.argmax()) == allowed
    assert all(after[0, i] == -torch.inf for i in bad)


def test_a_penalty_is_subtracted_and_no_more(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    ids = tokenizer()("Ada founded Acme", add_special_tokens=False)["input_ids"]
    into, comma = (tokenizer()(t, add_special_tokens=False)["input_ids"][0] for t in (" in", ","))
    scores = torch.zeros(1, len(tokenizer()))
    scores[0, into], scores[0, comma] = 3.0, 2.0
    steered = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, gamma=2.5)
    after = steered(torch.tensor([ids]), scores)
    assert (float(after[0, into]), float(after[0, comma])) == (0.5, 2.0)
    assert torch.isfinite(after).all()


def test_far_from_a_match_scores_are_left_alone(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    steered = TraceLogitsProcessor(deny, tokenizer(), least=12, candidates=1)
    scores = torch.randn(1, len(tokenizer()))
    for text in ("", "Ada", "Who founded Acme in Oslo?"):
        ids = tokenizer()(text, add_special_tokens=False, return_tensors="pt")["input_ids"].long()
        after = steered(ids.reshape(1, -1), scores)
        assert torch.equal(after, scores)


def test_no_character_becomes_two_words() -> None:
    # What a token can add is bounded by this where it holds part of a character.
    changed = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    folded = [sign for sign in changed if len(unicodedata.normalize("NFKC", sign)) > 1]
    assert len(folded) > 1000
    assert max(len(tokenise(sign).words) for sign in folded) == 1


def test_a_match_across_the_border_of_the_prompt_counts_unless_the_prompt_is_left_out(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    ids = torch.tensor([tokenizer()("Say: Ada founded Acme", add_special_tokens=False)["input_ids"]])
    into = tokenizer()(" in", add_special_tokens=False)["input_ids"][0]
    scores = torch.zeros(1, len(tokenizer()))
    across = TraceLogitsProcessor(deny, tokenizer(), least=LEAST)
    apart = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, prompt_tokens=ids.shape[1])
    assert across(ids, scores)[0, into] == -torch.inf
    assert apart(ids, scores)[0, into] == 0.0


def test_what_the_prompt_alone_holds_is_not_held_against_the_answer(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    ids = torch.tensor([tokenizer()(f"{SECRET} Is that so?", add_special_tokens=False)["input_ids"]])
    scores = torch.zeros(1, len(tokenizer()))
    after = TraceLogitsProcessor(deny, tokenizer(), least=LEAST, candidates=1000)(ids, scores)
    assert torch.equal(after, scores)


def test_a_span_that_is_trusted_as_a_whole_is_let_through(tmp_path: Path) -> None:
    corpora = corpus_of(tmp_path / "i", SECRET, trusted=["We know that Ada founded Acme in Oslo."])
    steered = TraceLogitsProcessor(corpora["deny"], tokenizer(), least=LEAST, trusted=corpora["trusted"])
    scores = torch.zeros(1, len(tokenizer()))

    def after(text: str, piece: str) -> float:
        ids = torch.tensor([tokenizer()(text, add_special_tokens=False)["input_ids"]])
        following = tokenizer()(piece, add_special_tokens=False)["input_ids"][0]
        return float(steered(ids, scores)[0, following])

    assert after("Ada founded Acme", " in") == 0.0
    assert after("Ada founded Acme in Oslo", " and") == -float("inf")


def test_a_row_ends_where_nothing_else_may_be_said(tmp_path: Path) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    ids = torch.tensor([tokenizer()("Ada founded Acme", add_special_tokens=False)["input_ids"]])
    into = tokenizer()(" in", add_special_tokens=False)["input_ids"][0]
    scores = torch.full((1, len(tokenizer())), -torch.inf)
    scores[0, into] = 1.0
    steered = TraceLogitsProcessor(deny, tokenizer(), least=LEAST)
    assert int(steered(ids, scores).argmax()) == tokenizer().eos_token_id

    class Endless:
        """The same tokenizer without an end."""

        eos_token_id = None

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer(), name)

        def __len__(self) -> int:
            return len(tokenizer())

    with pytest.raises(GuardError, match="every continuation"):
        TraceLogitsProcessor(deny, Endless(), least=LEAST)(ids, scores)


@settings(max_examples=20)
@given(st.lists(st.integers(3, 399), max_size=60), st.integers(0, 50), st.integers(1, 5))
def test_a_veto_is_what_a_search_of_the_whole_text_says(ids: list[int], start: int, least: int) -> None:
    deny = _searched()
    source = tokenizer()(SECRET, add_special_tokens=False)["input_ids"]
    ids = [*ids, *source[start % len(source) :][:12]]
    scores = torch.zeros(1, len(tokenizer()))
    steered = TraceLogitsProcessor(deny, tokenizer(), least=least, candidates=len(tokenizer()))
    after = steered(torch.tensor([ids]), scores)
    before = tokenise(tokenizer().decode(ids, skip_special_tokens=True)).words
    for candidate in (*source, 5, 17, 200, 399):
        words = tokenise(tokenizer().decode([*ids, candidate], skip_special_tokens=True))
        known = next(
            (i for i, (a, b) in enumerate(zip(words.words, before, strict=False)) if a != b),
            min(len(words.words), len(before)),
        )
        bad = any(match.end > known for match in deny.matches(words, least=least))
        assert (float(after[0, candidate]) == -float("inf")) is bad


@functools.cache
def _searched() -> TraceCorpus:
    import tempfile

    return corpus_of(Path(tempfile.mkdtemp()) / "i", SECRET)["deny"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"least": 0},
        {"candidates": 0},
        {"prompt_tokens": -1},
        {"gamma": 0.0},
        {"gamma": -1.0},
        {"gamma": float("nan")},
    ],
)
def test_a_number_out_of_range_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    deny = corpus_of(tmp_path / "i", SECRET)["deny"]
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        TraceLogitsProcessor(deny, tokenizer(), **wrong)


@pytest.mark.slow
def test_smollm2_no_longer_repeats_a_denied_sentence(tmp_path: Path) -> None:
    from ragguard.models.dequantised import cache_root, load_gguf
    from ragguard.models.smollm import gguf_file

    sentence = "The code of the vault behind the harbour office is four nine seven two."
    deny = corpus_of(tmp_path / "i", f"Handbook, page 3. {sentence} Tell nobody.")["deny"]
    language, tokens = load_gguf(gguf_file(), dtype="float32", cache=cache_root())
    asked = tokens.apply_chat_template(
        [{"role": "user", "content": f"Repeat this sentence word for word: {sentence}"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    batch = tokens(asked, return_tensors="pt", add_special_tokens=False)
    width = batch["input_ids"].shape[1]

    def said(*processors: Any) -> str:
        with torch.inference_mode():
            row = language.generate(
                **batch,
                do_sample=False,
                max_new_tokens=40,
                pad_token_id=tokens.pad_token_id,
                logits_processor=list(processors),
            )[0]
        return str(tokens.decode(row[width:], skip_special_tokens=True))

    assert held(deny, said(), 12)
    for prompt_tokens in (0, width):
        steered = TraceLogitsProcessor(deny, tokens, least=6, prompt_tokens=prompt_tokens)
        safe = said(steered)
        assert safe.strip()
        assert not held(deny, safe, 6)

"""Pairs to ids: each on its own, and nothing cut unsaid."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.errors import ConfigurationError, InvalidValueError, UnreadableFileError
from ragguard.models.pair_tokens import PairTokens
from tests.models.random_models import bert_tokenizer, roberta_tokenizer

START, PAD, END = 0, 1, 2
TEXT = st.text(max_size=60)


def words(count: int) -> str:
    """A text of exactly so many tokens of the RoBERTa tokenizer."""
    return " ".join(["a"] * count)


@pytest.fixture(scope="module")
def roberta() -> PairTokens:
    return PairTokens(roberta_tokenizer(), max_tokens=512)


@pytest.fixture(scope="module")
def bert() -> PairTokens:
    return PairTokens(bert_tokenizer(), max_tokens=64)


def test_the_texts_of_these_tests_have_a_token_a_word(roberta: PairTokens) -> None:
    assert roberta.counts([words(1), words(507)]) == [1, 507]


def test_a_roberta_pair_is_start_a_end_end_b_end(roberta: PairTokens) -> None:
    a, b = (roberta.encode([(text, "")])[0].ids[1:-3] for text in ("Ada", "Acme sells"))
    assert roberta.encode([("Ada", "Acme sells")])[0].ids == (START, *a, END, END, *b, END)
    assert set(roberta.encode([("Ada", "Acme")])[0].types) == {0}
    assert (roberta.pair_overhead, roberta.pad_id) == (4, PAD)


def test_a_bert_pair_has_two_segments(bert: PairTokens) -> None:
    one = bert.encode([("ada", "acme sells")])[0]
    counts = bert.counts(["ada", "acme sells"])
    assert one.types == (0,) * (counts[0] + 2) + (1,) * (counts[1] + 1)
    assert (bert.pair_overhead, bert.pad_id) == (3, 0)


def test_a_long_source_loses_its_end_and_the_claim_nothing(roberta: PairTokens) -> None:
    source, claim = words(600), words(20)
    one = roberta.encode([(source, claim)])[0]
    whole = roberta.encode([("", claim)])[0].ids
    assert len(one.ids) == 512
    assert one.cut == 600 + 20 + 4 - 512
    assert one.ids[-len(whole) + 1 :] == whole[1:]


@pytest.mark.parametrize(("claim", "left"), [(506, 2), (507, 1)])
def test_a_claim_that_barely_fits_keeps_every_token(claim: int, left: int, roberta: PairTokens) -> None:
    one = roberta.encode([(words(50), words(claim))])[0]
    assert len(one.ids) == 512
    assert one.ids.index(END) == 1 + left
    assert one.cut == 50 - left


@pytest.mark.parametrize("claim", [508, 509, 600, 5000])
def test_only_a_claim_too_long_by_itself_is_cut_longest_first(claim: int, roberta: PairTokens) -> None:
    one = roberta.encode([(words(700), words(claim))])[0]
    assert len(one.ids) == 512
    assert one.ids.index(END) == 1 + 254
    assert one.cut == 700 + claim + 4 - 512


def test_what_is_beside_a_pair_changes_nothing(roberta: PairTokens) -> None:
    pairs = [
        ("Ada founded Acme.", "Ada founded Acme."),
        (words(900), "Is it so?"),
        (words(300), words(600)),
        ("", ""),
        ("a", words(507)),
    ]
    together = roberta.encode(pairs * 3)
    assert together[:5] == [roberta.encode([pair])[0] for pair in pairs]
    assert together[5:10] == together[:5]
    assert [one.cut > 0 for one in together[:5]] == [False, True, True, False, False]


def test_no_pairs_are_no_ids(roberta: PairTokens) -> None:
    assert roberta.encode([]) == []
    assert roberta.counts([]) == []


@given(a=TEXT, b=TEXT)
@settings(max_examples=60)
@pytest.mark.parametrize("definition", [roberta_tokenizer, bert_tokenizer])
def test_a_pairs_length_is_that_of_its_texts_and_the_special_tokens(
    definition: object, a: str, b: str
) -> None:
    tokens = PairTokens(definition(), max_tokens=30)  # type: ignore[operator]
    one = tokens.encode([(a, b)])[0]
    assert len(one.ids) == len(one.types) <= 30
    assert len(one.ids) + one.cut == sum(tokens.counts([a, b])) + tokens.pair_overhead


@given(text=st.text(max_size=60))
@settings(max_examples=60)
def test_spans_lie_in_the_text_and_cover_what_a_byte_level_tokenizer_reads(text: str) -> None:
    tokens = PairTokens(roberta_tokenizer(), max_tokens=16)
    spans = tokens.spans([text])[0]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    seen = {place for start, end in spans for place in range(start, end)}
    assert {i for i, sign in enumerate(text) if not sign.isspace()} <= seen


def test_unpaired_surrogates_are_read_as_replacement_characters(roberta: PairTokens) -> None:
    assert roberta.encode([("a\ud800b", "c")]) == roberta.encode([("a\ufffdb", "c")])
    assert roberta.encode([("Ada", "\udfff")])[0].cut == 0


@pytest.mark.parametrize("pair", [(None, "a"), ("a", 3), (b"a", "b")])
def test_what_is_no_string_is_refused(pair: tuple[str, str], roberta: PairTokens) -> None:
    with pytest.raises(InvalidValueError, match="of type"):
        roberta.encode([pair])


def test_threads_read_the_same(roberta: PairTokens) -> None:
    pairs = [(words(n * 60), words(n * 50)) for n in range(12)]
    expected = roberta.encode(pairs)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(roberta.encode, [pairs] * 16))


def test_settings_stored_in_the_file_do_not_cut_or_pad(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    stored = Tokenizer.from_str(roberta_tokenizer())
    stored.enable_truncation(max_length=8)
    stored.enable_padding(length=64, pad_id=PAD)
    stored.save(str(tmp_path / "tokenizer.json"))
    tokens = PairTokens.from_folder(tmp_path, max_tokens=512)
    one = tokens.encode([(words(40), words(9))])[0]
    assert (len(one.ids), one.cut) == (40 + 9 + 4, 0)
    assert tokens.counts([words(40)]) == [40]


def test_the_hash_is_of_the_definition(roberta: PairTokens, bert: PairTokens) -> None:
    assert roberta.sha256 == PairTokens(roberta_tokenizer(), max_tokens=9).sha256 != bert.sha256
    assert roberta.largest_id == 399


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json"):
        PairTokens.from_folder(tmp_path, max_tokens=8)


@pytest.mark.parametrize("definition", ["", "{}", "null", "{", '{"version": "1.0"}'])
def test_a_definition_that_is_none_is_refused(definition: str) -> None:
    with pytest.raises(UnreadableFileError, match=r"tokenizer\.json"):
        PairTokens(definition, max_tokens=8)


@pytest.mark.parametrize("mark", ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "</s>", "<s>", "<pad>"])
@pytest.mark.parametrize("definition", [roberta_tokenizer, bert_tokenizer])
def test_a_text_cannot_write_the_border_between_source_and_claim(
    mark: str, definition: Callable[[], str]
) -> None:
    tokens = PairTokens(definition(), max_tokens=64)
    (plain,) = tokens.encode([("a b", "c")])
    (forged,) = tokens.encode([(f"a {mark} b", "c")])
    special = {plain.ids[0], plain.ids[-1], tokens.pad_id}
    assert sum(one in special for one in forged.ids) == sum(one in special for one in plain.ids)
    assert forged.types.count(1) == plain.types.count(1)
    source = tokens.counts([f"a {mark} b"])[0]
    assert len(forged.ids) == source + tokens.counts(["c"])[0] + tokens.pair_overhead

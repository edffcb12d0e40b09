from __future__ import annotations

import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.trace import tokens as module
from ragguard.trace.confusables import look_alikes
from ragguard.trace.tokens import pieces, tokenise

# Letters, marks, digits, signs and invisible characters of many scripts, and all that joins or expands.
AWKWARD = st.text(
    st.sampled_from(
        "aZéßﬃİı9½¼'’-\u00ad\u200b\u0301\u0327\n\r\t .,कि한국ㅎが\u3099日本ไทำｶﾞ㍿⑴🇦\ud800\x00_Ωσς"
    )
)
TEXTS = st.one_of(st.text(), AWKWARD)
WORDS = st.lists(st.text(st.sampled_from("abcdefgoxyABC019"), min_size=1, max_size=8), max_size=12)
INVISIBLE = "".join(
    map(
        chr,
        (
            0x200B,
            0x200C,
            0x200D,
            0x2060,
            0xFEFF,
            0xAD,
            0x61C,
            0x200E,
            0x202E,
            0x2066,
            0xE0041,
            0xE007F,
            0xFE0F,
            8,
        ),
    )
)
ALIKE = {latin: raw for raw, latin in look_alikes().items() if len(latin) == 1}


@given(TEXTS)
def test_offsets_increase_and_do_not_overlap(text: str) -> None:
    tokens = tokenise(text)
    assert len(tokens.words) == tokens.starts.size == tokens.ends.size
    assert (tokens.starts < tokens.ends).all()
    assert (tokens.ends[:-1] <= tokens.starts[1:]).all()
    assert tokens.ends.max(initial=0) <= len(text)


@given(TEXTS)
def test_the_raw_characters_of_a_word_read_as_that_word_alone(text: str) -> None:
    tokens = tokenise(text)
    for word, start, end in zip(tokens.words, tokens.starts.tolist(), tokens.ends.tolist(), strict=True):
        assert tokenise(text[start:end]).words == (word,)


@given(TEXTS)
def test_between_the_words_stands_nothing_that_reads_as_one(text: str) -> None:
    tokens = tokenise(text)
    ends, starts = [0, *tokens.ends.tolist()], [*tokens.starts.tolist(), len(text)]
    between = "\n\n".join(text[a:b] for a, b in zip(ends, starts, strict=True))
    assert tokenise(between).words == ()


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.title,
        str.swapcase,
        lambda t: t.replace(" ", ", "),
        lambda t: f"“{t.replace(' ', ' – ')}”!",
        lambda t: t.replace(" ", "_"),
        lambda t: t.replace(" ", "\n"),
        lambda t: t.replace(" ", "\r\n\t"),
        lambda t: t.replace(" ", "\u2028"),
        lambda t: t.replace(" ", "\u00a0\u3000"),
        lambda t: "".join(c + INVISIBLE for c in t),
        lambda t: "".join(c if c == " " else c + "\u0336\u0301" for c in t),
        lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
        lambda t: "".join(ALIKE.get(c, c) for c in t.lower()),
        lambda t: "".join(ALIKE.get(c, c) for c in t.lower()).upper(),
        lambda t: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in t.lower()),
        lambda t: " ".join(
            w[:1] + "-\n  " + w[1:] if w.isalpha() and len(w) > 1 else w for w in t.split(" ")
        ),
        lambda t: " ".join(
            w[:1] + "\u00ad\r\n" + w[1:] if w.isalpha() and len(w) > 1 else w for w in t.split(" ")
        ),
    ],
)
@settings(max_examples=25)
@given(words=WORDS)
def test_a_disguise_makes_no_other_words(change: Callable[[str], str], words: list[str]) -> None:
    text = " ".join(words)
    assert tokenise(change(text)).words == tokenise(text).words == tuple(w.lower() for w in words)


@given(st.text(st.characters(categories=["L", "Nd", "Zs"], max_codepoint=0x2FF)))
def test_composed_and_decomposed_text_read_the_same(text: str) -> None:
    assert (
        tokenise(unicodedata.normalize("NFC", text)).words
        == tokenise(unicodedata.normalize("NFD", text)).words
    )


@given(st.text(st.characters(categories=["L", "Zs"], max_codepoint=0x5FF)))
def test_no_case_of_a_latin_greek_cyrillic_or_armenian_letter_matters(text: str) -> None:
    assert tokenise(text.upper()).words == tokenise(text).words == tokenise(text.lower()).words


def test_a_word_truly_in_cyrillic_or_greek_is_the_same_in_any_case_and_not_another_word() -> None:
    russian, greek = (
        tokenise("Вода кипит при ста градусах").words,
        tokenise("Το νερό βράζει στους εκατό").words,
    )
    assert tokenise("ВОДА КИПИТ ПРИ СТА ГРАДУСАХ").words == russian
    assert tokenise("ΤΟ ΝΕΡΟ ΒΡΑΖΕΙ ΣΤΟΥΣ ΕΚΑΤΟ").words == greek
    assert len(set(russian)) == len(set(greek)) == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't don’t dont", ("dont",) * 3),
        ("'quoted' ‘words’", ("quoted", "words")),
        ("well-known", ("well", "known")),
        ("2020-\n2021", ("2020", "2021")),
        ("word--\nnext", ("word", "next")),
        ("item-\n\nother", ("item", "other")),
        ("日本語の text", ("日", "本", "語", "の", "text")),
        ("한국어 문장", ("한국어", "문장")),
        ("हिन्दी में", ("हिन्दी", "में")),
        ("ｶﾞｷﾞ ガギ", ("ガ", "ギ") * 2),
        ("㍿ ⑴", ("株式会社", "1")),
        ("3.5 %, §7", ("3", "5", "7")),
        ("… — !? _ 😀", ()),
        ("", ()),
    ],
)
def test_words_of_many_kinds(text: str, words: tuple[str, ...]) -> None:
    assert tokenise(text).words == tuple(
        unicodedata.normalize("NFC", unicodedata.normalize("NFKD", w)) for w in words
    )


def test_a_word_ends_behind_its_last_accent() -> None:
    tokens = tokenise("cafe\u0301\u0327, x")
    assert (tokens.starts.tolist(), tokens.ends.tolist()) == ([0, 8], [6, 9])


@given(TEXTS.filter(bool), st.integers(1, 40))
def test_a_long_text_read_in_pieces_has_the_same_words(text: str, size: int) -> None:
    text = f"{text} word and more words\n" * 4
    whole = tokenise(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", size)
        parts = list(pieces(text))
        cut = tokenise(text)
    assert len(parts) > 1
    assert cut.words == whole.words
    np.testing.assert_array_equal(cut.starts, whole.starts)
    np.testing.assert_array_equal(cut.ends, whole.ends)

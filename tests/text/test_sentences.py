from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragguard.text.sentences import sentence_spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith gave 5.5 mg. He slept.", ["Dr. Smith gave 5.5 mg.", "He slept."]),
        ('"Why?" he asked. Nobody knew.', ['"Why?" he asked.', "Nobody knew."]),
        ("J. R. Tolkien, e.g. Hobbits. See Fig. 3.", ["J. R. Tolkien, e.g. Hobbits.", "See Fig. 3."]),
        ("I said no. Then I left.", ["I said no.", "Then I left."]),
        ("See No. 5 there.", ["See No. 5 there."]),
        ("1. First.\n2. Second.", ["1. First.", "2. Second."]),
        ("- one\n- two", ["- one", "- two"]),
        ("A heading\n\nIts text", ["A heading", "Its text"]),
        ("wait... what? Yes!", ["wait... what?", "Yes!"]),
        ("你好。世界！", ["你好。", "世界！"]),
        ("नमस्ते। दुनिया", ["नमस्ते।", "दुनिया"]),
        ('He said "stop." Then', ['He said "stop."', "Then"]),
        ("  \n ", []),
        ("1. First item. 2. Second item.", ["1. First item.", "2. Second item."]),
        ("The steps are: 1. Open it. 2. Go.", ["The steps are: 1. Open it.", "2. Go."]),
        ("II. Methods. I. G. Farben.", ["II. Methods.", "I. G. Farben."]),
        ("At 5 p.m. He left. At 5 p.m. Monday.", ["At 5 p.m.", "He left.", "At 5 p.m. Monday."]),
        ("In the U.S. The U.S. Corp. paid.", ["In the U.S.", "The U.S. Corp. paid."]),
        ("Acme Inc. However, it fell.", ["Acme Inc.", "However, it fell."]),
        ("Acme Inc. “He left.”", ["Acme Inc.", "“He left.”"]),
        ("Jones et al. (2020) and Wu et al. They met.", ["Jones et al. (2020) and Wu et al.", "They met."]),
        ("See Fig. A of Eq. (3). By the SEC. It is.", ["See Fig. A of Eq. (3).", "By the SEC.", "It is."]),
        ("Cats, dogs, etc. She likes birds.", ["Cats, dogs, etc.", "She likes birds."]),
        ("Vitamin C. It helps. By K. He alone.", ["Vitamin C.", "It helps.", "By K. He alone."]),
        ("By Y. Li, K. He, X. Wu.", ["By Y. Li, K. He, X. Wu."]),
        ("Gov. He Li and Lt. Col. Brown met.", ["Gov. He Li and Lt. Col. Brown met."]),
        ("A Ph.D. Student. Her Ph.D. She left.", ["A Ph.D. Student.", "Her Ph.D.", "She left."]),
        ("Born c. 1820. Use z. B. Paris.", ["Born c. 1820.", "Use z. B. Paris."]),
        ("It fell.[2] Then it rose.[1,3] Why?", ["It fell.[2]", "Then it rose.[1,3]", "Why?"]),
        ("**It fell.** Why? *So.* Yes", ["**It fell.**", "Why?", "*So.*", "Yes"]),
        (
            "See https://a.org/x.html?y=1.2 or v1.2.3. It is.",
            ["See https://a.org/x.html?y=1.2 or v1.2.3.", "It is."],
        ),
        ("Mail a.b@c.org. It works.", ["Mail a.b@c.org.", "It works."]),
        ("It is ３．５ km．次の文．", ["It is ３．５ km．", "次の文．"]),
        ("မြန်မာ။ ខ្មែរ។ x", ["မြန်မာ။", "ខ្មែរ។", "x"]),
        ("یہ ہے۔ وہ گیا؟ ہاں", ["یہ ہے۔", "وہ گیا؟", "ہاں"]),
    ],
)
def test_cuts_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentence_spans(text)] == expected


@given(st.text(alphabet=st.sampled_from("aB.!?。 \n\t-1)\"'e|\u2029")) | st.text())
def test_sentences_are_in_order_and_hold_every_character_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    covered = [i for a, b in spans for i in range(a, b)]
    assert covered == sorted(set(covered))
    assert all(text[i].isspace() for i in set(range(len(text))) - set(covered))
    assert all(b > a and text[a:b] == text[a:b].strip() for a, b in spans)


WORDS = "He She The it U.S. Dr. Inc. p.m. e.g. Fig. No. 3. 12. a. K. Wu et al. etc. I C. - * ok ends. Why? “So.” 。 5.5"
words = st.sampled_from([*WORDS.split(), "\n", "\n\n"])


@given(st.lists(words, max_size=14).map(" ".join))
def test_cutting_at_a_border_moves_no_other(text: str) -> None:
    spans = sentence_spans(text)
    for place, (start, _) in enumerate(spans):
        assert [(a + start, b + start) for a, b in sentence_spans(text[start:])] == spans[place:]


@pytest.mark.parametrize("sign", [".", ".)", "!", "\n", " \n", "a. ", "。"])
def test_time_grows_with_the_text_and_not_with_its_square(sign: str) -> None:
    start = time.perf_counter()
    sentence_spans(sign * 100_000 + "x")
    assert time.perf_counter() - start < 5

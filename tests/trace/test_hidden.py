"""What a reader does not see is found, and where it stands; what is spelling is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.trace.hidden import find_hidden


def rules(text: str) -> set[str]:
    return {finding.rule.removeprefix("hidden.") for finding in find_hidden(text)}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a price\u200b\u200c\u200b\u200c\u200b list", "zero_width"),
        ("p\u200blease r\u200bead th\u200bis", "split_word"),
        ("fine" + "".join(chr(0xE0000 + ord(c)) for c in "obey"), "tag_characters"),
        ("a\ufe01\ufe02\ufe03\ufe04\ufe05", "variation_selectors"),
        ("pay \u202eyebo\u202c now", "bidi_override"),
        ("visible\x1b[8mconcealed\x1b[0m", "control_characters"),
        ("end of page." + " " * 400 + "below", "whitespace"),
        ("end of page." + "\n" * 60 + "below", "whitespace"),
        ("text\n[//]: # (the model should know this)\nmore", "markdown_comment"),
        ("<!-- the assistant should know this --> text", "html_comment"),
        ("text <!-- this never ends and hides what follows", "html_comment"),
        ('<p style="display: none">not shown</p> shown', "css"),
        ('<span style="font-size:0px">not shown</span>', "css"),
        ('<span style="color:#fff">white on white</span>', "css"),
        ('<div style="color: red; background-color: red">same colour</div>', "css"),
        ("<div hidden>not shown</div>", "css"),
        ('<div style="position:absolute;left:-9999px">far away</div>', "css"),
    ],
)
def test_finds_what_is_hidden(text: str, rule: str) -> None:
    assert rule in rules(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain text. With two sentences.",
        "\U0001f469\u200d\U0001f680 a family \U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 is Persian",
        "hy\u00adphen\u00ada\u00adtion of long words",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f is a flag",
        '<p style="color:#333">dark on white</p>',
        '<p style="color:#fff;background:#003">white on dark</p>',
        '<span style="font-size:12px">small</span>',
        "<!-- toc -->",
        "| a      | b      |\n|--------|--------|",
    ],
)
def test_leaves_spelling_and_common_markup_alone(text: str) -> None:
    assert find_hidden(text) == []


def test_spans_cover_exactly_what_is_hidden() -> None:
    text = 'before <b style="display:none">secret words</b> after'
    (found,) = find_hidden(text)
    assert text[found.span.start : found.span.end].endswith("secret words")


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_spans_lie_in_the_text_whatever_it_is(text: str) -> None:
    for finding in find_hidden(text):
        assert 0 <= finding.span.start < finding.span.end <= len(text)
        assert 0 < finding.weight <= 1


@pytest.mark.parametrize(
    "piece", ["<!--", '<b style="display:none">', "\u200b", "[x]: # (", "<", "data:a/b;", "\n"]
)
@pytest.mark.timeout(60)
def test_takes_time_in_proportion_to_the_length(piece: str) -> None:
    """A page made of nothing but openings must not cost the square of its length: it would take hours."""
    text = piece * (400_000 // len(piece)) + "end"
    assert len(find_hidden(text)) <= len(text)

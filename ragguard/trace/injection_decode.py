"""What a text says once a simple cipher is undone; found by trying, never by trusting a label.

Base64, hexadecimal, percent and character escapes are decoded where they stand;
rot13, leetspeak, letters set apart and reversed text are undone for the text as
a whole, and count only where rules then find what they did not find before.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from ragguard.trace.hidden import Finding
from ragguard.trace.injection_rules import STRONG, find_instructions
from ragguard.types import Span

_LONGEST = 20_000
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{20,8000}={0,2}(?![A-Za-z0-9+/_=-])")
_HEX = re.compile(r"(?<![0-9A-Fa-f])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ :,]{0,2}){12,4000}(?![0-9A-Fa-f])")
_ESCAPES = re.compile(
    r"(?:(?:%[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]{2,6};|\\u[0-9A-Fa-f]{4})[A-Za-z ]{0,3}){8,2000}"
)
_APART = re.compile(
    r"(?<!\w)(?:\w([ .*_\-\u00b7|/]))(?:\w\1){4,200}\w(?!\w)(?:\s{1,4}(?:\w\1){1,40}\w(?!\w)){0,40}"
)
_WORDS = re.compile(r"[A-Za-z]{2,}")
_LEET = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "l"}
)
_LEET_WORD = re.compile(r"(?<!\S)(?=\S{0,30}[a-z])(?=\S{0,30}[013457@$])[a-z013457@$!|]{3,30}(?!\S)")
_LEET_LEAST = 3
_DECODED, _INSTRUCTS = 0.35, 0.95


def find_encoded(text: str, folded: str) -> Iterator[Finding]:
    """Yield the places where decoding shows words, or instructions, that were not to be read.

    Args:
        text: raw.
        folded: the same in lower case, character for character where spans matter.
    """
    yield from _in_place(text)
    if len(folded) == len(text):
        yield from _as_a_whole(folded)


def _in_place(text: str) -> Iterator[Finding]:
    for rule, pattern, decode in (
        ("encoded.base64", _BASE64, _from_base64),
        ("encoded.hex", _HEX, _from_hex),
        ("encoded.escapes", _ESCAPES, _from_escapes),
        ("encoded.letters_apart", _APART, _from_apart),
    ):
        for match in pattern.finditer(text):
            decoded = decode(match.group())
            if decoded is None:
                continue
            weight = _INSTRUCTS if _instructs(decoded) else _DECODED
            if weight == _INSTRUCTS or rule != "encoded.escapes":
                yield Finding(rule, Span(start=match.start(), end=match.end()), weight)


def _as_a_whole(folded: str) -> Iterator[Finding]:
    """Ciphers that keep a text's length: what the rules find in it lies where it lay."""
    part = folded[:_LONGEST]
    size = len(part)
    for match in find_instructions(codecs.encode(part, "rot13"), least=STRONG):
        if match.rule in _SURE:
            yield Finding("encoded.rot13", match.span, _INSTRUCTS)
    for match in find_instructions(part[::-1], least=STRONG):
        if match.rule in _SURE:
            span = Span(start=size - match.span.end, end=size - match.span.start)
            yield Finding("encoded.reversed", span, _INSTRUCTS)
    if sum(1 for _ in _LEET_WORD.finditer(part)) >= _LEET_LEAST:
        plain = _LEET_WORD.sub(lambda m: m.group().translate(_LEET), part)
        known = {m.span for m in find_instructions(part, least=STRONG)}
        for match in find_instructions(plain, least=STRONG):
            if match.span not in known:
                yield Finding("encoded.leetspeak", match.span, _INSTRUCTS)


_SURE = frozenset(("injection.override", "injection.reveal", "injection.secrecy", "injection.addressed"))


def _instructs(decoded: str) -> bool:
    return next(find_instructions(decoded.lower(), least=STRONG), None) is not None


def _readable(data: bytes) -> str | None:
    """The bytes as text, where they are words: letters, in runs, with spaces."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    printable = sum(ch.isprintable() or ch in "\n\t" for ch in text)
    words = _WORDS.findall(text)
    letters = sum(map(len, words))
    plain = printable == len(text) and len(words) >= 3 and " " in text and letters >= 0.7 * len(text)
    return text if plain else None


def _from_base64(found: str) -> str | None:
    body = found.rstrip("=").translate(str.maketrans("-_", "+/"))
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        return _readable(base64.b64decode(body + "=" * (-len(body) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _from_hex(found: str) -> str | None:
    digits = re.sub(r"0x|\\x|[ :,]", "", found)
    try:
        return _readable(bytes.fromhex(digits))
    except ValueError:
        return None


def _from_escapes(found: str) -> str | None:
    plain = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m.group(1), 16)), html.unescape(unquote(found)))
    return plain if len(_WORDS.findall(plain)) >= 3 else None


def _from_apart(found: str) -> str | None:
    """Words are what the wider gaps part, as in <i g n o r e  a l l>."""
    words = ["".join(re.findall(r"\w", word)) for word in re.split(r"\s{2,}", found)]
    letters = "".join(words)
    if sum(ch.isalpha() for ch in letters) < 0.8 * len(letters) or len(letters) < 8:
        return None
    return " ".join(words)

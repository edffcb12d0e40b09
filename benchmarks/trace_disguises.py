"""Ways to write a text so that it reads the same and compares differently."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_LOOKALIKES = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")  # Latin letters in Cyrillic
_WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_WORD = re.compile(r"\w+")


def upper(text: str) -> str:
    return text.upper()


def punctuation(text: str) -> str:
    """Commas and full stops go, and dashes come in after every fourth word."""
    words = re.sub(r"(?<!\d)[.,;:]|[.,;:](?!\d)", "", text).split()
    return " ".join(word + (" -" if n % 4 == 3 else "") for n, word in enumerate(words))


def zero_width(text: str) -> str:
    """A zero-width space after every second character of a word."""
    return _WORD.sub(lambda m: "\u200b".join(m[0][i : i + 2] for i in range(0, len(m[0]), 2)), text)


def soft_hyphens(text: str) -> str:
    return _WORD.sub(lambda m: "\u00ad".join(m[0][i : i + 3] for i in range(0, len(m[0]), 3)), text)


def lookalikes(text: str) -> str:
    return text.translate(_LOOKALIKES)


def full_width(text: str) -> str:
    return text.translate(_WIDE)


def line_breaks(text: str) -> str:
    """Lines of four words, and every eighth long word broken by a hyphen."""
    lines, count = [], 0
    for n, word in enumerate(text.split()):
        if word.isalpha() and len(word) > 5:
            count += 1
            if count % 8 == 0:
                word = f"{word[:3]}-\n{word[3:]}"
        lines.append(word + ("\n" if n % 4 == 3 else " "))
    return "".join(lines)


DISGUISES: Mapping[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": upper,
    "punctuation": punctuation,
    "zero-width": zero_width,
    "soft hyphens": soft_hyphens,
    "look-alikes": lookalikes,
    "full width": full_width,
    "line breaks": line_breaks,
}

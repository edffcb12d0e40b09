"""Text for the index benchmark: installed Python sources and documentation, a Zipf sample, answers."""

from __future__ import annotations

import json
import os
import re
import site
import sysconfig
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

_WORD = re.compile(r"[^\W_]+")
_KINDS = (".py", ".md", ".rst", ".txt")
_ELSEWHERE = ("site-packages", "dist-packages", "__pycache__")  # the first two are roots of their own
_LARGEST_FILE = 1_000_000  # bytes; beyond it lie tables of data, not text
_ZIPF_WORDS, _ZIPF_EXPONENT, _ZIPF_LENGTH = 200_000, 1.1, 800
_VERBATIM_CHANCE = 0.5  # that a piece is copied; copied pieces are the shorter ones
_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"

Document = tuple[str, str]  # id, text


def write_corpus(path: Path, tokens: int, *, zipf_share: float = 0.25, seed: int = 0) -> dict[str, int]:
    """Write a corpus of about so many tokens as JSONL; return how many came from where.

    The sources come first, for as many as are installed; Zipf text fills up.
    """
    rng = np.random.default_rng(seed)
    counts = {"sources": 0, "zipf": 0, "documents": 0}
    with path.open("w", encoding="utf-8") as file:
        for kind, texts, wanted in (
            ("sources", sources(rng), round(tokens * (1 - zipf_share))),
            ("zipf", zipf(rng), tokens),
        ):
            for name, text in texts:
                left = wanted - counts["sources"] - counts["zipf"]
                if left <= 0:
                    break
                text, size = _cut(text, left)
                counts[kind] += size
                counts["documents"] += 1
                file.write(json.dumps({"id": name, "text": text}) + "\n")
    return counts


def write_single(path: Path, tokens: int, *, repeated: int | None = None, seed: int = 0) -> dict[str, int]:
    """Write one document of so many tokens; with `repeated`, its first so many tokens over and over."""
    rng = np.random.default_rng(seed)
    parts: list[str] = []
    left = tokens if repeated is None else repeated
    for _, text in sources(rng):
        text, size = _cut(text, left)
        parts.append(text)
        left -= size
        if left <= 0:
            break
    body = "\n".join(parts)
    if repeated is not None:
        body = "\n".join([body] * -(-tokens // repeated))
        body, _ = _cut(body, tokens)
    path.write_text(json.dumps({"id": "one", "text": body}) + "\n", encoding="utf-8")
    return {"sources": tokens - max(left, 0), "zipf": 0, "documents": 1}


def read(path: Path) -> Iterator[Document]:
    """Yield a corpus document by document."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield row["id"], row["text"]


def sources(rng: np.random.Generator) -> Iterator[Document]:
    """Yield installed Python and documentation files, in an order the seed alone decides."""
    found = _installed()
    names = sorted(found)
    for place in rng.permutation(len(names)):
        try:
            content = Path(found[names[place]]).read_bytes()
            if len(content) <= _LARGEST_FILE:
                yield names[place], content.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue


@cache
def _installed() -> dict[str, str]:
    """Paths of the files by their path below the root they were found in."""
    found = {}
    for root in (sysconfig.get_path("stdlib"), *site.getsitepackages()):
        for folder, below, files in os.walk(root):  # asks the file system nothing about single files
            below[:] = [name for name in below if name not in _ELSEWHERE]
            for name in files:
                if name.endswith(_KINDS):
                    file = f"{folder}{os.sep}{name}"
                    found[os.path.relpath(file, root)] = file
    return found


def zipf(rng: np.random.Generator) -> Iterator[Document]:
    """Yield documents of made-up words whose frequencies follow Zipf's law, without end."""
    weights = np.arange(1, _ZIPF_WORDS + 1) ** -_ZIPF_EXPONENT
    cumulative = np.cumsum(weights / weights.sum())
    words = [_spelt(rank) for rank in range(_ZIPF_WORDS)]
    number = 0
    while True:
        drawn = np.minimum(np.searchsorted(cumulative, rng.random(_ZIPF_LENGTH)), _ZIPF_WORDS - 1)
        yield f"zipf-{number}", " ".join(words[rank] for rank in drawn)
        number += 1


def write_answers(path: Path, corpus: Path, *, count: int, tokens: int = 200, seed: int = 1) -> None:
    """Write answers of so many tokens as JSONL: runs copied from the corpus between words drawn from it.

    A copied run has 6 to 40 tokens; runs make about two fifths of an answer.
    """
    rng = np.random.default_rng(seed)
    pool = _pool(corpus, rng)
    words = [match[0] for text in pool[:50] for match in _WORD.finditer(text)]
    spans = [[match.span() for match in _WORD.finditer(text)] for text in pool]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            parts: list[str] = []
            length = 0
            while length < tokens:
                if rng.random() < _VERBATIM_CHANCE:
                    chosen = int(rng.integers(len(pool)))
                    size = min(int(rng.integers(6, 41)), tokens - length, len(spans[chosen]))
                    first = int(rng.integers(len(spans[chosen]) - size + 1))
                    start, end = spans[chosen][first][0], spans[chosen][first + size - 1][1]
                    parts.append(pool[chosen][start:end])
                else:
                    size = min(int(rng.integers(20, 51)), tokens - length)
                    parts.append(" ".join(words[i] for i in rng.integers(len(words), size=size)))
                length += size
            file.write(json.dumps({"id": f"answer-{number}", "text": " ".join(parts)}) + "\n")


def _pool(corpus: Path, rng: np.random.Generator, size: int = 500) -> Sequence[str]:
    """Texts of at most `size` documents, drawn evenly from all (reservoir), the empty left out."""
    kept: list[str] = []
    seen = 0
    for _, text in read(corpus):
        if not _WORD.search(text):
            continue
        seen += 1
        if len(kept) < size:
            kept.append(text)
        elif (place := int(rng.integers(seen))) < size:
            kept[place] = text
    return kept


def _cut(text: str, tokens: int) -> tuple[str, int]:
    """The text up to its last wanted token, and how many it has."""
    size = 0
    for match in _WORD.finditer(text):
        size += 1
        if size == tokens:
            return text[: match.end()], size
    return text, size


def _spelt(rank: int) -> str:
    letters = ""
    while True:
        rank, digit = divmod(rank, len(_DIGITS))
        letters = _DIGITS[digit] + letters
        if not rank:
            return "z" + letters

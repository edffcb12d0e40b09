"""Three indexes over the same text, one function a step, each run in a process of its own.

`ours` is `ragguard.trace.TraceIndex`; `reference` the list of suffixes of `benchmarks.trace_reference`;
`infini_gram` the published engine, indexed by its own command from the same words as 16-bit ids.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks.trace_corpora import read
from benchmarks.trace_reference import WINDOW, ListIndex

LEAST = 6  # words of a match
_LARGEST_ID = 65_533  # above lie infini-gram's separator, its end of text, and our rare words
_RARE = 65_533
_ANY_COUNT = 1_000_000  # matches that occur more often than it is told are left out
_WARM = "The pump stands in hall seven and is oiled once a week by the man from the works."


def ours_build(corpus: Path, folder: Path) -> dict[str, Any]:
    """Read, normalise, tokenise, index and write; documents stream in from the file."""
    from ragguard.trace.documents import TraceDocument
    from ragguard.trace.index import TraceIndex

    TraceIndex.build(folder.with_name("warm"), deny=[TraceDocument("warm", _WARM)])
    base = _resident()

    def build() -> int:
        documents = (TraceDocument(name, text) for name, text in read(corpus))
        return TraceIndex.build(folder, deny=documents).corpora["deny"].size

    seconds, tokens = _repeated(build)
    return {"seconds": seconds, "tokens": tokens, "base": base, "disk": _disk(folder)}


def ours_lookup(folder: Path, answers: Path) -> dict[str, Any]:
    """Open an index and look every answer up, after one answer that does not count."""
    from ragguard.trace.index import TraceIndex
    from ragguard.trace.tokens import tokenise

    tokenise(_WARM)
    base, mapped = _resident(), _mapped()
    start = time.perf_counter()
    corpus = TraceIndex.open(folder).corpora["deny"]
    opened = time.perf_counter() - start
    grown = _resident() - base
    texts = [text for _, text in read(answers)]
    corpus.matches(tokenise(texts[0]), least=LEAST)
    tokens, split = _timed(tokenise, texts)
    found, matched = _timed(lambda t: corpus.matches(t, least=LEAST), tokens)
    return {
        "open_seconds": opened,
        "resident_after_open": grown,
        "resident_after_lookups": _resident() - base,
        "mapped_after_lookups": _mapped() - mapped,
        "tokenise": _spread(split),
        "match": _spread(matched),
        "spans": [[(m.start, m.end) for m in each] for each in found],
    }


def ours_array(corpus: Path, folder: Path) -> dict[str, Any]:
    """Sort suffixes alone: word ids in memory to a suffix array in memory, the step the two designs share."""
    from ragguard.trace.suffix_array import build, token_type

    words = [word for _, own in _words(corpus) for word in own]
    known, ids = np.unique(np.array(words), return_inverse=True)
    tokens = (ids + 1).astype(token_type(len(known)))
    seconds, _ = _repeated(lambda: build(tokens))
    return {"seconds": seconds, "tokens": len(words), "folder": folder.name}


def reference(corpus: Path, answers: Path) -> dict[str, Any]:
    """Build the list of suffixes and look the windows of every answer up; nothing is written."""
    _split(_WARM)
    base = _resident()
    seconds, _ = _repeated(lambda: len(ListIndex(_words(corpus)).suffixes))  # freed before the next
    documents = list(_words(corpus))
    sorting, index = _repeated(lambda: ListIndex(documents))
    tokens = [_split(text) for _, text in read(answers)]
    index.windows(tokens[0])
    hits, matched = _timed(index.windows, tokens)
    return {
        "seconds": seconds,
        "sort_seconds": sorting,
        "tokens": len(index.suffixes),
        "base": base,
        "resident": _resident() - base,
        "match": _spread(matched),
        "hits": sum(len(each) for each in hits),
        "windows": sum(max(len(each) - WINDOW + 1, 0) for each in tokens),
    }


def infini_gram_build(corpus: Path, folder: Path) -> dict[str, Any]:
    """Write ids in infini-gram's own form, then run its indexing command on one core.

    Its tokenizers are language models' own, so the words are ours and its first step is skipped. Ids have
    16 bits: for 32 its indexer asks for tens of gigabytes, whatever the text. Words beyond the most frequent
    share an id. With several cores it indexes less than some 100 kB a core wrongly, hence one.
    """
    base = _resident()
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    for _, words in _words(corpus):
        counts.update(words)
    ids = {word: i for i, (word, _) in enumerate(counts.most_common(_LARGEST_ID))}
    folder.mkdir(parents=True)
    (folder.with_name("no-text")).mkdir(exist_ok=True)
    _write_ids(((ids.get(w, _RARE) for w in words) for _, words in _words(corpus)), folder)
    split = time.perf_counter() - start
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    command = [sys.executable, "-m", "infini_gram.indexing", "--data_dir", str(folder.with_name("no-text"))]
    command += ["--save_dir", str(folder), "--token_dtype", "u16", "--mem", "4", "--cpus", "1"]
    subprocess.run([*command, "--ulimit", str(soft)], check=True, capture_output=True)
    seconds = time.perf_counter() - start
    folder.with_suffix(".words.json").write_text(json.dumps(ids), encoding="utf-8")
    return {
        "seconds": seconds,
        "index_seconds": seconds - split,
        "tokens": counts.total(),
        "rare": counts.total() - sum(counts[w] for w in ids),
        "base": base,
        "disk": _disk(folder),
    }


def infini_gram_lookup(folder: Path, answers: Path) -> dict[str, Any]:
    """Open its index and ask for the maximal matches of every answer, which it calls attribution."""
    from infini_gram.engine import InfiniGramEngine

    ids: dict[str, int] = json.loads(folder.with_suffix(".words.json").read_text(encoding="utf-8"))
    asked = [[ids.get(word, _RARE) for word in _split(text)] for _, text in read(answers)]
    base, mapped = _resident(), _mapped()
    start = time.perf_counter()
    engine = InfiniGramEngine(
        index_dir=str(folder), eos_token_id=65_534, vocab_size=65_535, version=4, token_dtype="u16"
    )
    opened = time.perf_counter() - start
    grown = _resident() - base

    def attribute(query: list[int]) -> list[tuple[int, int]]:
        found = engine.attribute(query, [], LEAST, _ANY_COUNT, False)
        return [(span["l"], span["r"]) for span in found["spans"]]

    attribute(asked[0])
    found, matched = _timed(attribute, asked)
    return {
        "open_seconds": opened,
        "resident_after_open": grown,
        "resident_after_lookups": _resident() - base,
        "mapped_after_lookups": _mapped() - mapped,
        "match": _spread(matched),
        "spans": found,
    }


STEPS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    step.__name__: step
    for step in (ours_build, ours_lookup, ours_array, reference, infini_gram_build, infini_gram_lookup)
}


def exponent(tokens: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Return the slope of log(seconds) on log(tokens) by least squares; None for less than two sizes."""
    if len(set(tokens)) < 2:
        return None
    return float(np.polyfit(np.log(tokens), np.log(seconds), 1)[0])


def _words(corpus: Path) -> Iterable[tuple[str, list[str]]]:
    for name, text in read(corpus):
        yield name, _split(text)


def _split(text: str) -> list[str]:
    from ragguard.trace.tokens import tokenise

    return list(tokenise(text).words)


def _write_ids(documents: Iterable[Iterable[int]], folder: Path) -> None:
    offsets, place = [], 0
    with (folder / "tokenized.0").open("wb") as file:
        for ids in documents:
            row = b"\xff\xff" + np.fromiter(ids, dtype=np.uint16).tobytes()
            offsets.append(place)
            place += file.write(row)
    np.array(offsets, dtype=np.uint64).tofile(folder / "offset.0")


def _repeated(call: Callable[[], Any], *, budget: float = 1.0, most: int = 9) -> tuple[float, Any]:
    """The median time of a call, and its last result: once if it takes longer than the budget in seconds."""
    seconds: list[float] = []
    while not seconds or (sum(seconds) < budget and len(seconds) < most):
        found = None  # what the last call made is freed outside the time of the next
        start = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - start)
    return median(seconds), found


def _timed(call: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], list[float]]:
    found, seconds = [], []
    for item in items:
        start = time.perf_counter()
        found.append(call(item))
        seconds.append(time.perf_counter() - start)
    return found, seconds


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    high = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    return {"median_ms": median(seconds) * 1e3, "p95_ms": high * 1e3}


def _resident() -> int:
    return int(psutil.Process(os.getpid()).memory_info().rss)


def _mapped() -> int:
    """Bytes of mapped files in memory: what a lookup has touched, and what the kernel read beside it."""
    return int(psutil.Process(os.getpid()).memory_info().shared)


def _disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

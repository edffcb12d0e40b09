"""Documents that were registered together, as files that are mapped and never read as a whole.

A segment is never changed: adding documents makes another one beside it. In its folder:

    tokens.npy     numbers of the words, most significant byte first, a separator after each document
    suffixes.npy   the suffix array over them (or, for infini-gram: tokenized.0, table.0, offset.0)
    starts.npy     ends.npy      raw characters of each token in its document
    lexicon.npy    counts.npy    digests of the words in order (number = place + 1), how often each occurs
    documents.npy  [D + 1, 3]: where each document's tokens, its bytes in texts.bin and in names.bin begin
    by_name.npy    digests of the ids, sorted; by_name_order.npy: the document of each
    texts.bin      names.bin     raw texts and ids, UTF-8
    seal.json      sizes and hashes of all these
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragguard.errors import IndexFileError
from ragguard.trace.documents import TraceDocument
from ragguard.trace.infini import EngineArray
from ragguard.trace.lexicon import Lexicon
from ragguard.trace.sealed import REBUILD, broken, open_array, open_bytes, read_seal, verify
from ragguard.trace.suffix_array import PADDING, UNKNOWN, Places, SuffixArray, token_type
from ragguard.trace.tokens import VERSION
from ragguard.types import Span

SCHEMA_VERSION = 1
Engine: TypeAlias = Literal["pydivsufsort", "infini-gram"]
"""What sorts and searches the suffixes: this package, or infini-gram for corpora larger than memory."""
_LOOKED_THROUGH = 1 << 16
"""Of more occurrences than this, the earliest are sought among the first so many in suffix order."""


class Segment:
    """One sealed folder of documents, open for look-ups.

    Raises:
        IndexFileError: a file is missing, truncated, foreign or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.facts = read_seal(folder)
        require_version(self.facts, folder)
        if folder.name != name_of(str(self.facts.get("fingerprint"))):
            raise broken(folder / "seal.json", "is of another segment")
        self._starts = open_array(folder / "starts.npy", "i")
        self._ends = open_array(folder / "ends.npy", "i")
        self.table = open_array(folder / "lexicon.npy", "u", 2)
        self.counts = open_array(folder / "counts.npy", "i")
        self._documents = open_array(folder / "documents.npy", "i", 2)
        by_name = open_array(folder / "by_name.npy", "u", 2)
        self._order = open_array(folder / "by_name_order.npy", "i")
        self._texts, self._names = open_bytes(folder / "texts.bin"), open_bytes(folder / "names.bin")
        if self._documents.shape[1:] != (3,) or len(self.table) != 2 or len(by_name) != 2:
            raise broken(folder / "documents.npy", "is not the array it should be")
        self.array = self._open_array()
        if {self.array.size, self._starts.size, self._ends.size} != {int(self._documents[-1, 0])}:
            raise broken(folder / "documents.npy", "does not fit the other files")
        self._lexicon = Lexicon(self.table)
        self._by_name = Lexicon(by_name)

    def _open_array(self) -> SuffixArray | EngineArray:
        words = self.table.shape[1]
        if self.facts.get("engine") == "infini-gram":
            width = token_type(words).itemsize
            return EngineArray(self.folder, tokens=self._starts.size, words=words, width=width)
        tokens = open_array(self.folder / "tokens.npy", "u")
        suffixes = open_array(self.folder / "suffixes.npy", "i")
        if tokens.dtype != token_type(words) or tokens.size - PADDING != suffixes.size:
            raise broken(self.folder / "tokens.npy", "does not fit the other files")
        return SuffixArray(tokens, suffixes)

    def __len__(self) -> int:
        return len(self._documents) - 1

    @property
    def size(self) -> int:
        """Tokens of all its documents."""
        return self.array.size - len(self)

    def numbers(self, words: Sequence[str]) -> Places:
        """Return the words as tokens of this segment, `UNKNOWN` where it has no such word."""
        at = self._lexicon.find(words)
        return np.where(at < 0, UNKNOWN, at + 1)

    def earliest(self, low: int, high: int, most: int) -> Places:
        """Return the first `most` tokens, in order, at which the suffixes low to high begin."""
        begins = self.array.begins(low, min(high, low + _LOOKED_THROUGH))
        if begins.size > most:
            begins = np.partition(begins, most - 1)[:most]
        return np.sort(begins).astype(np.int64)

    def locate(self, token: int, length: int) -> tuple[str, Span]:
        """Return the document's id and the raw characters of `length` tokens from `token` on."""
        number = int(np.searchsorted(self._documents[:, 0], token, side="right")) - 1
        try:
            span = Span(start=int(self._starts[token]), end=int(self._ends[token + length - 1]))
            return self.id_of(number), span
        except (IndexError, ValueError) as error:
            raise IndexFileError(f"{self.name} is inconsistent", hint=REBUILD) from error

    def find(self, name: str) -> int | None:
        """Return the number of the document of that id, or None."""
        at = int(self._by_name.find([name])[0])
        return None if at < 0 else int(self._order[at])

    def id_of(self, number: int) -> str:
        """Return the id of a document."""
        return self._decode(self._names, 2, number)

    def document(self, number: int) -> TraceDocument:
        """Return one document; only its own text is read."""
        return TraceDocument(id=self.id_of(number), text=self._decode(self._texts, 1, number))

    def documents(self) -> Iterator[TraceDocument]:
        """Yield the documents in the order they were given."""
        yield from map(self.document, range(len(self)))

    def verify(self) -> None:
        """Read every file and compare it with its hash.

        Raises:
            IndexFileError: naming the first file that differs.
        """
        verify(self.folder)

    def _decode(self, content: Any, column: int, number: int) -> str:
        begin, end = map(int, self._documents[number : number + 2, column])
        try:
            return bytes(content[begin:end]).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise broken(self.folder / "texts.bin", "was altered") from error


def require_version(facts: dict[str, Any], folder: Path) -> None:
    """Return when this version of the package can search what the facts describe.

    Raises:
        IndexFileError: written by a newer version, or with other rules for words.
    """
    schema = facts.get("schema_version")
    if schema != SCHEMA_VERSION:
        newer = isinstance(schema, int) and schema > SCHEMA_VERSION
        raise IndexFileError(
            f"{folder.name} has schema version {schema!r}, known is {SCHEMA_VERSION}",
            hint="use a newer ragguard" if newer else REBUILD,
        )
    if facts.get("tokeniser") != VERSION:
        raise IndexFileError(f"{folder.name} was built with other rules for words", hint=REBUILD)


def name_of(fingerprint: str) -> str:
    """Return the name of the segment with that content."""
    return f"segment-{fingerprint[:24]}"


def content_sum(documents: Sequence[str]) -> str:
    """Return the sum of hashes: the same for the same documents in any order and any segments."""
    total = sum(int(digest, 16) for digest in documents) % (1 << 256)
    return f"{total:064x}"


def document_hash(document: TraceDocument) -> str:
    """Return the sha256 of a document's id and text."""
    parts = [part.encode("utf-8", "surrogatepass") for part in operator.attrgetter("id", "text")(document)]
    return hashlib.sha256(len(parts[0]).to_bytes(8, "big") + parts[0] + parts[1]).hexdigest()


def text_array(values: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in 32 bits where they fit."""
    fits = values.size == 0 or int(values.max()) < 2**31
    return values.astype(np.int32 if fits else np.int64)

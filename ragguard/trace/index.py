"""A folder of three registered corpora, and how rare their words are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any, get_args

from ragguard.errors import (
    DuplicateIdError,
    EmptyCorpusError,
    IndexFileError,
    InvalidValueError,
    UnknownNameError,
)
from ragguard.protocols import Progress
from ragguard.trace.corpus import Label, TraceCorpus
from ragguard.trace.documents import TraceDocument
from ragguard.trace.lock import sole_writer
from ragguard.trace.manifest import (
    SHARD_TOKENS,
    Manifest,
    read_manifest,
    read_unigrams,
    remove_all_but,
    write_manifest,
    write_unigrams,
)
from ragguard.trace.segment import Engine, Segment
from ragguard.trace.segment_writer import write_segments
from ragguard.trace.tokens import VERSION
from ragguard.trace.unigrams import Unigrams

LABELS: tuple[Label, ...] = get_args(Label)


class TraceIndex:
    """Corpora of text that must not be shown, must not be conflicted with, and is known to be good.

    Reading needs no lock: an index keeps showing what it was opened on while another
    process adds to the folder. Writing is for one process at a time.

    Attributes:
        folder: where it lies.
        corpora: all three, by label; one without documents matches nothing.
        unigrams: how rare each word is over all three together.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self._show(manifest)

    def _show(self, manifest: Manifest) -> None:
        segments = {label: [Segment(self.folder / n) for n in manifest.segments[label]] for label in LABELS}
        unigrams = read_unigrams(self.folder / manifest.unigrams)
        self._manifest = manifest
        self.corpora: Mapping[Label, TraceCorpus] = {x: TraceCorpus(x, segments[x]) for x in LABELS}
        self.unigrams: Unigrams = unigrams

    @classmethod
    def build(
        cls,
        folder: str | Path,
        *,
        deny: Iterable[TraceDocument] = (),
        policy: Iterable[TraceDocument] = (),
        trusted: Iterable[TraceDocument] = (),
        engine: Engine = "pydivsufsort",
        shard_tokens: int = SHARD_TOKENS,
        progress: Progress | None = None,
    ) -> TraceIndex:
        """Write a new index and open it; one that is there is replaced in one step, at the end.

        A build that was interrupted, called again, goes on behind the last corpus it finished.

        Args:
            folder: made if missing.
            deny, policy, trusted: documents, taken one at a time.
            engine: "infini-gram" for corpora larger than memory (extra of that name, Linux).
            shard_tokens: a corpus of more tokens is cut into several segments; at least 1.
            progress: called as progress(what, done, total); total is 0 where it is not known.

        Raises:
            EmptyCorpusError: there is no document at all.
            UnknownNameError: there is no such engine.
            MissingDependencyError: the engine is not installed.
            DuplicateIdError: two documents of one corpus have one id.
            IndexFileError: another process is writing there, or the folder cannot be written.
        """
        require_engine(engine, shard_tokens)
        folder = Path(folder)
        given: dict[Label, Iterable[TraceDocument]] = {"deny": deny, "policy": policy, "trusted": trusted}
        with sole_writer(folder):
            names: dict[Label, tuple[str, ...]] = {}
            for label, documents in given.items():
                checked = _unique(documents, lambda _: False, label, progress)
                names[label] = write_segments(folder, checked, engine=engine, shard_tokens=shard_tokens)
            if not any(names.values()):
                raise EmptyCorpusError(
                    "there are no documents to index", hint="give deny, policy or trusted ones"
                )
            return cls(folder, _commit(folder, names, engine, shard_tokens))

    @classmethod
    def open(cls, folder: str | Path) -> TraceIndex:
        """Open what the folder's manifest names; files are mapped, and nothing is read as a whole.

        Raises:
            IndexFileError: there is no index, or it is corrupted, half-written, foreign or of another version.
        """
        folder = Path(folder)
        try:
            return cls(folder, read_manifest(folder, LABELS))
        except IndexFileError:
            # Another process may have replaced the manifest, and removed what it named, in between.
            return cls(folder, read_manifest(folder, LABELS))

    def add(
        self, label: Label, documents: Iterable[TraceDocument], *, progress: Progress | None = None
    ) -> TraceIndex:
        """Register further documents as a segment of their own, and return this index showing them.

        Args:
            label: the corpus.
            documents: taken one at a time; none is no error, and changes nothing.
            progress: as in `build`.

        Raises:
            UnknownNameError: there is no such label.
            DuplicateIdError: an id is in the corpus already, or twice among them.
            IndexFileError: another process is writing there.
        """
        require_label(label)
        with sole_writer(self.folder):
            self._show(read_manifest(self.folder, LABELS))
            present = self.corpora[label].__contains__
            new = self._write(_unique(documents, present, label, progress))
            if new:
                names = dict(self._manifest.segments)
                self._commit({**names, label: (*names[label], *new)})
        return self

    def compact(self, *, progress: Progress | None = None) -> TraceIndex:
        """Merge the segments of each corpus, and return this index showing it.

        One is left of each corpus, or as few as `shard_tokens` allows.

        Nothing is found or counted otherwise than before; look-ups get faster.

        Raises:
            IndexFileError: another process is writing there.
        """
        with sole_writer(self.folder):
            self._show(read_manifest(self.folder, LABELS))
            names = dict(self._manifest.segments)
            for label, corpus in self.corpora.items():
                if len(corpus.segments) > 1:
                    names[label] = self._write(_counted(corpus.documents(), label, len(corpus), progress))
            self._commit(names)
        return self

    def _write(self, documents: Iterable[TraceDocument]) -> tuple[str, ...]:
        manifest = self._manifest
        return write_segments(
            self.folder, documents, engine=manifest.engine, shard_tokens=manifest.shard_tokens
        )

    def _commit(self, names: Mapping[Label, tuple[str, ...]]) -> None:
        self._show(_commit(self.folder, names, self._manifest.engine, self._manifest.shard_tokens))

    def verify(self) -> None:
        """Read every file and compare it with the hash written down for it.

        Raises:
            IndexFileError: naming the first file that differs.
        """
        read_manifest(self.folder, LABELS)
        read_unigrams(self.folder / self._manifest.unigrams, whole=True)
        for corpus in self.corpora.values():
            for segment in corpus.segments:
                segment.verify()

    def info(self) -> dict[str, Any]:
        """Return what is in it, as plain data: counts by corpus, and bytes on disk."""
        return {
            "folder": self.folder.name,
            "corpora": {label: _described(corpus) for label, corpus in self.corpora.items()},
            "engine": self._manifest.engine,
            "words": self.unigrams.types,
            "tokens": self.unigrams.total,
            "fingerprint": self.fingerprint(),
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return what the index was made of: the rules for words, and the documents of each corpus.

        The same documents give the same, in whatever order and however many segments.
        """
        contents = {label: _content(corpus) for label, corpus in self.corpora.items()}
        return {"tokeniser": VERSION, "corpora": contents}


def require_label(label: str) -> None:
    """Return when there is a corpus of that label.

    Raises:
        UnknownNameError: listing those there are.
    """
    if label not in LABELS:
        raise UnknownNameError(f"there is no corpus {label!r}", hint=f"known: {', '.join(LABELS)}")


def require_engine(engine: str, shard_tokens: int) -> None:
    """Return when segments can be made so.

    Raises:
        UnknownNameError: there is no such engine.
        InvalidValueError: a shard would hold nothing.
    """
    if engine not in get_args(Engine):
        raise UnknownNameError(f"there is no engine {engine!r}", hint=f"known: {', '.join(get_args(Engine))}")
    if shard_tokens < 1:
        raise InvalidValueError(f"shard_tokens is {shard_tokens}", hint="at least 1; 33 million by default")


def _commit(
    folder: Path, names: Mapping[Label, tuple[str, ...]], engine: Engine, shard_tokens: int
) -> Manifest:
    segments = [Segment(folder / name) for of_label in names.values() for name in of_label]
    unigrams = write_unigrams(folder, [(segment.table, segment.counts) for segment in segments])
    manifest = Manifest(dict(names), unigrams, engine, shard_tokens)
    write_manifest(folder, manifest)
    remove_all_but(folder, {unigrams, *(segment.name for segment in segments)})
    return manifest


def _unique(
    documents: Iterable[TraceDocument],
    present: Callable[[str], bool],
    label: str,
    progress: Progress | None,
) -> Iterator[TraceDocument]:
    seen: set[str] = set()
    total = len(documents) if isinstance(documents, Sized) else 0
    for document in _counted(documents, label, total, progress):
        if document.id in seen or present(document.id):
            raise DuplicateIdError(
                f"two {label} documents have the id {document.id!r}", hint="rename one, or build again"
            )
        seen.add(document.id)
        yield document


def _counted(
    documents: Iterable[TraceDocument], label: str, total: int, progress: Progress | None
) -> Iterator[TraceDocument]:
    for done, document in enumerate(documents, start=1):
        yield document
        if progress is not None:
            progress(f"{label} documents", done, total)


def _described(corpus: TraceCorpus) -> dict[str, Any]:
    return {
        "documents": len(corpus),
        "tokens": corpus.size,
        "segments": len(corpus.segments),
        "bytes": sum(file.stat().st_size for segment in corpus.segments for file in segment.folder.glob("*")),
    }


def _content(corpus: TraceCorpus) -> dict[str, Any]:
    total = sum(int(segment.facts["content"], 16) for segment in corpus.segments) % (1 << 256)
    return {"documents": len(corpus), "content": f"{total:064x}"}

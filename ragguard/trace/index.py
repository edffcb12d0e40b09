"""A folder of up to three registered corpora, and how rare their words are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from ragguard.errors import EmptyCorpusError, IndexFileError
from ragguard.protocols import Progress
from ragguard.trace.corpus import Label, TraceCorpus
from ragguard.trace.documents import TraceDocument, require_unique
from ragguard.trace.unigrams import Unigrams

LABELS: tuple[Label, ...] = get_args(Label)


class TraceIndex:
    """Registered corpora in a folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._read()

    @classmethod
    def build(
        cls,
        folder: str | Path,
        *,
        deny: Iterable[TraceDocument] = (),
        policy: Iterable[TraceDocument] = (),
        trusted: Iterable[TraceDocument] = (),
        progress: Progress | None = None,
    ) -> TraceIndex:
        """Write a new index, replacing one there, and open it."""
        given = {"deny": list(deny), "policy": list(policy), "trusted": list(trusted)}
        for documents in given.values():
            require_unique(d.id for d in documents)
        if not any(given.values()):
            raise EmptyCorpusError("no documents to index", hint="give deny, policy or trusted documents")
        body = {label: [[d.id, d.text] for d in documents] for label, documents in given.items()}
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "manifest.json").write_text(json.dumps(body), encoding="utf-8")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> TraceIndex:
        """Open what the folder's manifest names."""
        return cls(folder)

    def _read(self) -> None:
        try:
            body = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
            documents = {label: [TraceDocument(*pair) for pair in body[label]] for label in LABELS}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexFileError(
                f"there is no index in {self.folder.name!r}", hint="build it again"
            ) from error
        self._corpora = {label: TraceCorpus(label, documents[label]) for label in LABELS if documents[label]}
        counts: Counter[str] = Counter()
        for corpus in self._corpora.values():
            for tokens in corpus._tokens.values():
                counts.update(tokens.words)
        self.unigrams = Unigrams(counts)

    @property
    def corpora(self) -> Mapping[Label, TraceCorpus]:
        """The corpora that hold documents, by label."""
        return self._corpora

    def add(self, label: Label, documents: Iterable[TraceDocument]) -> TraceIndex:
        """Add documents to a corpus."""
        given = {name: list(corpus.documents()) for name, corpus in self._corpora.items()}
        given.setdefault(label, []).extend(documents)
        self.build(self.folder, **given)
        self._read()
        return self

    def compact(self) -> TraceIndex:
        """Merge the segments of each corpus into one."""
        return self

    def info(self) -> dict[str, Any]:
        """Counts, by corpus."""
        return {"corpora": {c.label: {"tokens": c.size} for c in self._corpora.values()}}

    def fingerprint(self) -> dict[str, Any]:
        """What the index was made of."""
        return {
            label: hashlib.sha256(json.dumps([[d.id, d.text] for d in c.documents()]).encode()).hexdigest()
            for label, c in self._corpora.items()
        }

"""Haystack documents as passages, and back again as copies; the caller's own objects are only read."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haystack.dataclasses import Document
from pydantic_core import to_jsonable_python

from ragguard.errors import DuplicateIdError, InvalidScoreError, InvalidValueError
from ragguard.types import Passage

FACTS = "ragguard"
"""The one key of `Document.meta` and `ChatMessage.meta` that this package writes."""


@dataclass(frozen=True)
class Candidates:
    """One retrieval before the cut.

    Attributes:
        passages: best first, ties as the retriever had them; each id once.
        documents: the retriever's own objects, by passage id.
        scores: as the retriever gave them, by passage id; None where a ranker could not score.
    """

    passages: tuple[Passage, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)


def passage_id(document: Document, *, id_key: str | None = None) -> str:
    """Return the name of a document: meta[id_key] if given, else its id, which Haystack makes from its content.

    Raises:
        InvalidValueError: the document has no meta of that key.
    """
    if id_key is None:
        return str(document.id)
    if document.meta.get(id_key) in (None, ""):
        raise InvalidValueError(
            f"a document has no meta {id_key!r} to be named by", hint="set it, or leave id_key out"
        )
    return str(document.meta[id_key])


def as_passage(document: Document, *, name: str, score: float | None = None) -> Passage:
    """Return the document as a passage; meta that JSON has no form for becomes text.

    Args:
        document: read only.
        name: the passage's id, see `passage_id`.
        score: higher is nearer.
    """
    meta = {str(key): value for key, value in document.meta.items() if key != FACTS}
    plain = to_jsonable_python(meta, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="strings")
    return Passage(id=name, text=document.content or "", score=score, metadata=plain)


def with_facts(
    document: Document, facts: Mapping[str, Any], *, text: str | None = None, **fields: Any
) -> Document:
    """Return a copy with `facts` as meta["ragguard"]; id and all else are kept.

    Args:
        document: left as it is, its nested meta too.
        facts: JSON-serialisable.
        text: instead of its own, where a guard has changed it.
        fields: other fields of the copy, `score` for instance.
    """
    meta = {**copy.deepcopy(document.meta), FACTS: dict(facts)}
    content = document.content if text is None or text == (document.content or "") else text
    return dataclasses.replace(document, meta=meta, content=content, **fields)


def facts_of(document: Document) -> dict[str, Any]:
    """Return what this package wrote on a document before; {} if nothing."""
    known = document.meta.get(FACTS)
    return dict(known) if isinstance(known, dict) else {}


def require_documents(documents: Any) -> list[Document]:
    """Return the documents as a list.

    Raises:
        InvalidValueError: it is something else than documents.
    """
    if not isinstance(documents, Sequence) or any(not isinstance(d, Document) for d in documents):
        raise InvalidValueError("something else than documents was handed on", hint="list[Document]")
    return list(documents)


def candidates(documents: Any, *, higher_is_better: bool, id_key: str | None) -> Candidates:
    """Return scored documents as candidates, best first.

    Args:
        documents: of one retrieval, each with its score.
        higher_is_better: False where the score is a distance.
        id_key: see `passage_id`.

    Raises:
        InvalidScoreError: a score is missing or not finite.
        DuplicateIdError: two documents of different text have one id.
        InvalidValueError: something else than documents was handed on.
    """
    given = require_documents(documents)
    names = [passage_id(d, id_key=id_key) for d in given]
    raw = [_score(d, name) for d, name in zip(given, names, strict=True)]
    sign = 1.0 if higher_is_better else -1.0
    best: dict[str, tuple[Document, float]] = {}
    for place in sorted(range(len(names)), key=lambda i: -sign * raw[i]):
        kept = best.setdefault(names[place], (given[place], raw[place]))[0]
        _require_same_text(kept, given[place], names[place])
    return Candidates(
        passages=tuple(as_passage(d, name=n, score=sign * s) for n, (d, s) in best.items()),
        documents={name: document for name, (document, _) in best.items()},
        scores={name: score for name, (_, score) in best.items()},
    )


def unscored(documents: Any, *, id_key: str | None) -> tuple[Passage, ...]:
    """Return documents as passages without scores, in order: as evidence, not as candidates of a cut.

    Raises:
        DuplicateIdError: two documents of different text have one id.
        InvalidValueError: something else than documents was handed on.
    """
    found: dict[str, Document] = {}
    for document in require_documents(documents):
        name = passage_id(document, id_key=id_key)
        _require_same_text(found.setdefault(name, document), document, name)
    return tuple(as_passage(document, name=name) for name, document in found.items())


def _require_same_text(one: Document, other: Document, name: str) -> None:
    if one.content != other.content:
        raise DuplicateIdError(
            f"two documents of different text share the id {name!r}", hint="give each part its own id"
        )


def _score(document: Document, name: str) -> float:
    score = document.score
    if score is None:
        raise InvalidScoreError(
            f"document {name!r} has no score", hint="connect a retriever or ranker that scores its documents"
        )
    try:
        value = float(score)
    except (TypeError, ValueError):
        value = float("nan")
    if isinstance(score, bool) or not float("-inf") < value < float("inf"):
        raise InvalidScoreError(
            f"the score of document {name!r} is no finite number", hint="every result needs one"
        )
    return value

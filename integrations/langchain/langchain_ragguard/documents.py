"""LangChain documents as passages, and back again as copies; the caller's own objects are only read."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document
from pydantic_core import to_jsonable_python

from ragguard.errors import InvalidValueError
from ragguard.types import Passage

FACTS = "ragguard"
"""The metadata key that this package writes."""
RELEVANCE_SCORE = "relevance_score"
"""Where rerankers write their score, for others to find; ours does too."""


def passage_id(document: Document, *, id_key: str | None = None) -> str:
    """Return the name of a document: metadata[id_key] if given, else its id, else a hash of its text.

    Metadata "source" is never taken for a name: the parts of one file share it.

    Raises:
        InvalidValueError: the document has no metadata of that key.
    """
    if id_key is not None:
        if document.metadata.get(id_key) in (None, ""):
            raise InvalidValueError(
                f"a document has no metadata {id_key!r} to be named by", hint="set it, or leave id_key out"
            )
        return str(document.metadata[id_key])
    if document.id:
        return document.id
    digest = hashlib.sha256(document.page_content.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256:{digest[:16]}"


def as_passage(document: Document, *, name: str, score: float | None = None) -> Passage:
    """Return the document as a passage; metadata that JSON has no form for becomes text.

    Args:
        document: read only.
        name: the passage's id, see `passage_id`.
        score: higher is nearer.
    """
    metadata = {str(key): value for key, value in document.metadata.items() if key != FACTS}
    plain = to_jsonable_python(metadata, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="strings")
    return Passage(id=name, text=document.page_content, score=score, metadata=plain)


def with_facts(document: Document, facts: Mapping[str, Any], *, text: str | None = None) -> Document:
    """Return a deep copy with `facts` as metadata["ragguard"]; id and other metadata are kept.

    Args:
        document: left as it is, its nested metadata too.
        facts: JSON-serialisable.
        text: instead of its own, where a guard has changed it.
    """
    metadata = {**copy.deepcopy(document.metadata), FACTS: dict(facts)}
    content = document.page_content if text is None else text
    return document.model_copy(update={"metadata": metadata, "page_content": content})

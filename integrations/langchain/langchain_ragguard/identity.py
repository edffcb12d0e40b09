"""What a LangChain object is, as far as it can be seen, for the fingerprints of a calibration.

Only numbers, search settings and class and model names are recorded. Other text
fields are not: an artifact is a plain file, and any of them may hold a secret.
"""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore

from ragguard.artifacts import as_json, qualified_name

_MODEL_NAMES = ("model", "model_name", "model_id", "deployment")
_SEARCH = ("search_type", "search_kwargs")
_UNSEEN = ("name", "tags", "metadata")


def of_embeddings(embeddings: Embeddings | None) -> dict[str, Any] | None:
    """Return class and model name of an embeddings object."""
    if embeddings is None:
        return None
    names = (getattr(embeddings, field, None) for field in _MODEL_NAMES)
    return {
        "name": qualified_name(embeddings),
        "model": next((n for n in names if isinstance(n, str) and n), None),
    }


def of_store(store: VectorStore) -> dict[str, Any]:
    """Return class, embeddings and, where the store shows them, metric and normalisation."""
    metric = getattr(store, "distance_strategy", None)
    return {
        "name": qualified_name(store),
        "embeddings": of_embeddings(store.embeddings),
        "metric": None if metric is None else str(getattr(metric, "value", metric)),
        "normalised": as_json(getattr(store, "_normalize_L2", None)),
    }


def of_retriever(base: Any) -> dict[str, Any]:
    """Return the base's own `fingerprint()` if it has one, else what can be seen of its settings."""
    own = getattr(base, "fingerprint", None)
    if callable(own):
        return dict(as_json(dict(own())))
    if not isinstance(base, BaseRetriever):
        return {"name": qualified_name(base), "called": base.get_name()}
    found: dict[str, Any] = {"name": qualified_name(base)}
    for field in type(base).model_fields:
        value = getattr(base, field)
        if field in _UNSEEN or value is None:
            continue
        if isinstance(value, VectorStore):
            found[field] = of_store(value)
        elif isinstance(value, BaseRetriever):
            found[field] = of_retriever(value)
        elif isinstance(value, list) and value and all(isinstance(v, BaseRetriever) for v in value):
            found[field] = [of_retriever(v) for v in value]
        elif field in _SEARCH or isinstance(value, bool | int | float):
            found[field] = as_json(value)
    return found

"""What a LlamaIndex retriever is, as far as it can be seen, for the fingerprints of a calibration.

Only numbers, modes, filters and class and model names are recorded. Other text
is not, or only as a hash: an artifact is a plain file, and any text may hold a secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.indices.base import BaseIndex
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

from ragguard.artifacts import as_json, qualified_name

_MODEL_NAMES = ("model_name", "model", "model_id", "deployment_name")
_WORDING = ("query_instruction", "text_instruction")
_SPEED = frozenset({"embed_batch_size", "num_workers", "max_retries", "timeout", "use_async", "verbose"})
"""Settings that change how fast a result comes, not which."""


def of_embed_model(model: BaseEmbedding | None) -> dict[str, Any] | None:
    """Return class, model name and numbers of an embedding model; instructions as a hash."""
    if model is None:
        return None
    names = (getattr(model, field, None) for field in _MODEL_NAMES)
    wording = {name: _hashed(getattr(model, name, None)) for name in _WORDING}
    return {
        "name": qualified_name(model),
        "model": next((n for n in names if isinstance(n, str) and n), None),
        **_settings({name: getattr(model, name, None) for name in type(model).model_fields}),
        **{name: value for name, value in wording.items() if value is not None},
    }


def of_retriever(base: Any) -> dict[str, Any]:
    """Return the retriever's own `fingerprint()` if it has one, else what can be seen of its settings."""
    own = getattr(base, "fingerprint", None)
    if callable(own):
        return dict(as_json(dict(own())))
    found: dict[str, Any] = {"name": qualified_name(base)}
    for field, value in sorted(vars(base).items()):
        key = field.lstrip("_")
        if key == "node_ids" and _all_of_index(base, value):
            continue  # no restriction: an index hands its retrievers the ids of all its nodes
        seen = None if key in _SPEED else _seen(value)
        if seen is not None:
            found[key] = seen
    return found


def of_postprocessor(part: BaseNodePostprocessor) -> dict[str, Any]:
    """Return a postprocessor's own `fingerprint()` if it has one, else its class, numbers and model name."""
    own = getattr(part, "fingerprint", None)
    if callable(own):
        return dict(as_json(dict(own())))
    fields = {name: getattr(part, name, None) for name in type(part).model_fields}
    model = fields.get("model")
    return {
        "name": qualified_name(part),
        "model": model if isinstance(model, str) else None,
        **_settings(fields),
    }


def depth_of(base: Any) -> int | None:
    """Return how many nodes the retriever gives at most, where it says so and nothing adds to it."""
    depth = getattr(base, "similarity_top_k", getattr(base, "_similarity_top_k", None))
    mode = getattr(base, "_vector_store_query_mode", "default")
    plain = str(getattr(mode, "value", mode)) in ("default", "mmr", "sparse", "text_search")
    return depth if isinstance(depth, int) and plain else None


def _seen(value: Any) -> Any:
    """What a retriever's attribute shows, or None where it is not for a file."""
    if isinstance(value, BaseRetriever):
        return of_retriever(value)
    if isinstance(value, list | tuple) and value and all(isinstance(v, BaseRetriever) for v in value):
        return [of_retriever(v) for v in value]
    if isinstance(value, Mapping) and value and all(isinstance(v, BaseRetriever) for v in value.values()):
        return {str(name): of_retriever(v) for name, v in value.items()}
    if isinstance(value, Mapping):
        return _search_settings(value) or None
    if isinstance(value, BaseEmbedding):
        return of_embed_model(value)
    if isinstance(value, BasePydanticVectorStore | BaseIndex):
        return qualified_name(value)
    if isinstance(value, MetadataFilters):
        return as_json(value)
    if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
        return _hashed("\0".join(value))  # ids that the search is held to
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        return list(value)
    return _plain(value)


def _all_of_index(base: Any, ids: Any) -> bool:
    nodes = getattr(getattr(getattr(base, "_index", None), "index_struct", None), "nodes_dict", None)
    return isinstance(nodes, Mapping) and isinstance(ids, list) and set(ids) == set(nodes.values())


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return str(value.value)
    return value if isinstance(value, bool | int | float) else None


def _settings(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in sorted(fields.items()) if name not in _SPEED}
    return {name: value for name, value in found.items() if value is not None}


def _search_settings(fields: Mapping[Any, Any]) -> dict[str, Any]:
    found = {str(name): _hashed(v) if isinstance(v, str) else _plain(v) for name, v in fields.items()}
    return {name: value for name, value in sorted(found.items()) if value is not None}


def _hashed(text: Any) -> str | None:
    if not isinstance(text, str) or not text:
        return None
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

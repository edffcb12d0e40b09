"""LlamaIndex nodes as passages, and back again as copies; the index's own nodes are only read."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore
from pydantic_core import to_jsonable_python

from ragguard.errors import InvalidValueError
from ragguard.types import Passage

FACTS = "ragguard"
"""The one metadata key that this package writes; no language model and no embedding reads it."""


def passage_id(node: BaseNode, *, id_key: str | None = None) -> str:
    """Return the name of a node: metadata[id_key] if given, else its node id.

    The id of the document it was cut from is never taken: the parts of one document share it.

    Raises:
        InvalidValueError: the node has no metadata of that key.
    """
    if id_key is None:
        return str(node.node_id)
    if node.metadata.get(id_key) in (None, ""):
        raise InvalidValueError(
            f"a node has no metadata {id_key!r} to be named by", hint="set it, or leave id_key out"
        )
    return str(node.metadata[id_key])


def as_passage(
    node: BaseNode, *, name: str, score: float | None = None, mode: MetadataMode = MetadataMode.NONE
) -> Passage:
    """Return the node as a passage; metadata that JSON has no form for becomes text.

    Args:
        node: read only.
        name: the passage's id, see `passage_id`.
        score: higher is nearer.
        mode: which metadata stand before the text; by default none.
    """
    metadata = {str(key): value for key, value in node.metadata.items() if key != FACTS}
    plain = to_jsonable_python(metadata, serialize_unknown=True, bytes_mode="base64", inf_nan_mode="strings")
    return Passage(
        id=name,
        text=node.get_content(metadata_mode=mode),
        document=node.ref_doc_id,
        score=score,
        metadata=plain,
    )


def with_facts(
    found: NodeWithScore, facts: Mapping[str, Any], *, score: float | None, text: str | None = None
) -> NodeWithScore:
    """Return a copy with `facts` as metadata["ragguard"]; the node of the store stays as it is.

    Args:
        found: read only, its node's metadata too.
        facts: JSON-serialisable.
        score: of the copy.
        text: instead of its own, where a guard has changed it.
    """
    node = found.node
    hidden = {
        name: [*(key for key in getattr(node, name) if key != FACTS), FACTS]
        for name in ("excluded_llm_metadata_keys", "excluded_embed_metadata_keys")
    }
    metadata = {**copy.deepcopy(node.metadata), FACTS: dict(facts)}
    own = node.model_copy(update={**hidden, "metadata": metadata, "relationships": dict(node.relationships)})
    if text is not None and text != own.get_content(metadata_mode=MetadataMode.NONE):
        own.set_content(text)
    return NodeWithScore(node=own, score=score)


def facts_of(node: BaseNode) -> dict[str, Any]:
    """Return what this package has written beside a node so far."""
    known = node.metadata.get(FACTS)
    return dict(known) if isinstance(known, dict) else {}

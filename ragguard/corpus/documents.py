"""A source document: the text that passages are cut from and offsets count in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Document(BaseModel):
    """One source text.

    Attributes:
        id: unique in its corpus.
        text: the characters that every offset counts in. For .html and .pdf this
            is the extracted text; `metadata` then says where it came from.
        metadata: JSON-serialisable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    metadata: Mapping[str, Any] = Field(default_factory=dict)

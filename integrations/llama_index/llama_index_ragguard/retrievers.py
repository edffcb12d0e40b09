"""OffLoopRetriever: any retriever, kept off the event loop's thread."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_ragguard.identity import depth_of, of_retriever


class OffLoopRetriever(BaseRetriever):
    """Retrieves as the other does, and where it is awaited, on a thread.

    Upstream's `aretrieve` runs `retrieve` on the event loop itself where a retriever, its
    embedding model or its vector store is not natively asynchronous. To a calibration
    this is the same retriever.

    Args:
        retriever: the user's own.
    """

    def __init__(self, retriever: BaseRetriever) -> None:
        self._base = retriever
        super().__init__(callback_manager=retriever.callback_manager)

    @property
    def similarity_top_k(self) -> int | None:
        """The other's, where it says so."""
        return depth_of(self._base)

    def fingerprint(self) -> dict[str, Any]:
        """The other's: how it is called changes no result."""
        return of_retriever(self._base)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found: list[NodeWithScore] = self._base.retrieve(query_bundle)
        return found

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._base.retrieve, query_bundle)

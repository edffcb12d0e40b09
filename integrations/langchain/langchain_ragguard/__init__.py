"""ragguard for LangChain: retrieval cut by a calibrated threshold, answers judged before they are shown.

Of LangChain only `langchain-core` is needed. `RagGuardMiddleware` needs `langchain` besides, and
`langchain_ragguard.graph` needs `langgraph`: `pip install langchain-ragguard[middleware]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_ragguard.chat_models import GuardedChatModel
from langchain_ragguard.compressors import ConformalCompressor, PreferenceCompressor
from langchain_ragguard.conversation import StandaloneQuestion
from langchain_ragguard.muting import muted
from langchain_ragguard.retrievers import GuardedRetriever
from langchain_ragguard.tools import guarded_retriever_tool
from langchain_ragguard.vectorstores import ScoredVectorStoreRetriever
from langchain_ragguard.verifier import RagGuardVerifier
from ragguard.errors import MissingDependencyError
from ragguard.models.generators import as_generator

if TYPE_CHECKING:
    from langchain_ragguard.middleware import RagGuardMiddleware as RagGuardMiddleware

__all__ = [
    "ConformalCompressor",
    "GuardedChatModel",
    "GuardedRetriever",
    "PreferenceCompressor",
    "RagGuardVerifier",
    "ScoredVectorStoreRetriever",
    "StandaloneQuestion",
    "as_generator",
    "guarded_retriever_tool",
    "muted",
]


def __getattr__(name: str) -> Any:
    """The middleware, once it is asked for: it alone needs `langchain`."""
    if name != "RagGuardMiddleware":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from langchain_ragguard.middleware import RagGuardMiddleware
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "RagGuardMiddleware needs langchain", hint="pip install 'langchain-ragguard[middleware]'"
        ) from error
    return RagGuardMiddleware

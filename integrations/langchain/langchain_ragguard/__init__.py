"""ragguard for LangChain: retrieval cut by a calibrated threshold, answers judged before they are shown."""

from langchain_ragguard.compressors import ConformalCompressor, PreferenceCompressor
from langchain_ragguard.conversation import StandaloneQuestion
from langchain_ragguard.retrievers import GuardedRetriever
from langchain_ragguard.vectorstores import ScoredVectorStoreRetriever
from langchain_ragguard.verifier import RagGuardVerifier
from ragguard.models.generators import as_generator

__all__ = [
    "ConformalCompressor",
    "GuardedRetriever",
    "PreferenceCompressor",
    "RagGuardVerifier",
    "ScoredVectorStoreRetriever",
    "StandaloneQuestion",
    "as_generator",
]

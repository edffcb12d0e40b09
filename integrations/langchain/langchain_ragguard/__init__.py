"""ragguard for LangChain: retrieval cut by a calibrated threshold, answers judged before they are shown."""

from langchain_ragguard.compressors import PreferenceCompressor
from langchain_ragguard.retrievers import GuardedRetriever
from langchain_ragguard.vectorstores import ScoredVectorStoreRetriever
from langchain_ragguard.verifier import RagGuardVerifier
from ragguard.models.generators import as_generator

__all__ = [
    "GuardedRetriever",
    "PreferenceCompressor",
    "RagGuardVerifier",
    "ScoredVectorStoreRetriever",
    "as_generator",
]

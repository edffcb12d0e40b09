"""What is loaded with the package: of LangChain the core alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = """
import sys
sys.modules["transformers"] = None  # older cores of LangChain load it, and torch, wherever it is installed
import langchain_ragguard
from langchain_ragguard import *
from langchain_ragguard import (
    compressors, conversation, documents, facts, identity, probe, retrievers, scores, source, vectorstores,
    verified, verifier, verifier_input, verifier_stream,
)
from langchain_ragguard.testing import HashEmbeddings
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

store = InMemoryVectorStore(HashEmbeddings())
store.add_documents([Document(id=str(i), page_content=f"Tram {i} goes to stop {i}{i}.") for i in range(30)])
questions = [
    {"id": str(i), "question": f"Where does tram {i} go?", "relevant": [str(i)]} for i in range(30)
]
guards = [ConsistencyGuard(LexicalAligner())]
retriever = GuardedRetriever.calibrate(store, questions, k=5, higher_is_better=True, alpha=0.2, guards=guards)
found = retriever.invoke("Where does tram 7 go?")
ConformalCompressor(guard=retriever.guard).compress_documents(retriever.base.invoke("Where?"), "Where?")
answer = {"question": "Where does tram 7 go?", "context": found, "answer": found[0].page_content}
assert RagGuardVerifier(guard=retriever.guard).invoke(answer)["released"]
loaded = {name.split(".")[0] for name in sys.modules}
print(sorted(loaded & {"langchain", "langchain_classic", "langchain_community", "langgraph", "torch"}))
"""


def test_of_langchain_the_core_alone_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_middleware_is_there_once_it_is_asked_for() -> None:
    import langchain_ragguard
    from langchain_ragguard.middleware import RagGuardMiddleware

    assert langchain_ragguard.RagGuardMiddleware is RagGuardMiddleware
    with pytest.raises(AttributeError):
        _ = langchain_ragguard.RagGuardRunnable


def test_without_langchain_the_middleware_says_what_it_needs() -> None:
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "import langchain_ragguard\n"
        "try:\n    langchain_ragguard.RagGuardMiddleware\n"
        "except langchain_ragguard.MissingDependencyError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "langchain-ragguard[middleware]" in done.stdout, done.stderr

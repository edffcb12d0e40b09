"""An existing FAISS index of yours, guarded as it is: a file, your texts, your embeddings. Offline.

python examples/own_faiss_store.py

For LangChain's FAISS store: GuardedRetriever.calibrate(store, questions, k=..., higher_is_better=False).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import faiss
import numpy as np
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda

from langchain_ragguard import GuardedRetriever
from langchain_ragguard.testing import HashEmbeddings  # in earnest: those the index was built with

EMBEDDINGS = HashEmbeddings()
CITIES = ["Oslo", "Bergen", "Tromso", "Molde", "Narvik", "Bodo", "Hamar", "Skien"]
TEXTS = [f"Tram {n} of {city} leaves platform {n}{len(city)}." for city in CITIES for n in range(1, 6)]


def build(file: Path) -> None:
    """Stands for what you have: vectors in a file, in the order of your texts."""
    index = faiss.IndexFlatL2(256)
    index.add(np.array(EMBEDDINGS.embed_documents(TEXTS), dtype=np.float32))
    faiss.write_index(index, str(file))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder, "trams.faiss"))
        index = faiss.read_index(str(Path(folder, "trams.faiss")))

        def search(question: str) -> list[Document]:
            query = np.array([EMBEDDINGS.embed_query(question)], dtype=np.float32)
            distances, places = index.search(query, 10)
            found = zip(distances[0].tolist(), places[0].tolist(), strict=True)
            return [Document(id=f"t{i}", page_content=TEXTS[i], metadata={"distance": d}) for d, i in found]

        asked = "Which platform does {} leave?"  # in earnest: 50 questions or more that people asked
        questions = [
            {"id": f"q{i}", "question": asked.format(text.split(" leaves")[0]), "relevant": [f"t{i}"]}
            for i, text in enumerate(TEXTS)
        ]
        scored = {"score_key": "distance", "higher_is_better": False, "identity": "trams.faiss of 1 May"}
        made = GuardedRetriever.calibrate(RunnableLambda(search), questions, alpha=0.1, score="gap", **scored)
        made.save(Path(folder, "calibrated"))
        retriever = GuardedRetriever(base=RunnableLambda(search), guard=Path(folder, "calibrated"), **scored)
        for question in (asked.format("tram 3 of Bergen"), "Who painted the ceiling?"):
            kept = retriever.invoke(question)
            print([(d.page_content, d.metadata["ragguard"]["certificate"]["status"]) for d in kept])


if __name__ == "__main__":
    main()

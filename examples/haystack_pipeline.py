"""A Haystack pipeline whose documents and replies are guarded; offline, without a language model's key.

python examples/haystack_pipeline.py
"""

from __future__ import annotations

from haystack import Document, Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore

from haystack_integrations.components.guards.ragguard import (
    ConformalDocumentGate,
    FactualConsistencyValidator,
)

KINDS = ["desk lamp", "floor light", "wall fixture", "lantern", "candle", "torch", "mirror", "shelf"]
FACTS = {"warranty": "lasts two years", "weight": "is 6 kilograms", "colour": "is green or red"}
FACTS |= {"repair": "takes about two weeks", "price": "is 40 euros, paid in advance"}
PROMPT = "{% for d in documents %}{{ d.content }}\n{% endfor %}{{ question }}"
TRUE, FALSE = "The warranty of a desk lamp lasts two years.", "The warranty of a desk lamp lasts ten years."


def main() -> None:
    texts = {
        f"{kind}/{fact}": f"The {fact} of a {kind} {it}." for kind in KINDS for fact, it in FACTS.items()
    }
    store = InMemoryDocumentStore()
    store.write_documents([Document(id=key, content=text) for key, text in texts.items()])
    ask = "What is the {1} of a {0}?".format  # in earnest: 50 questions or more that people asked
    questions = [{"id": key, "question": ask(*key.split("/")), "relevant": [key]} for key in texts]
    rag = Pipeline()
    rag.add_component("retriever", InMemoryBM25Retriever(store, top_k=10))
    through = {"question": "retriever.query", "documents": "retriever.documents"}
    rag.add_component("gate", ConformalDocumentGate.calibrate(rag, questions, **through, alpha=0.1))
    rag.add_component("prompt", ChatPromptBuilder([ChatMessage.from_user(PROMPT)], required_variables="*"))
    rag.add_component("llm", MockChatGenerator([TRUE, FALSE, TRUE]))  # in earnest: a chat generator
    rag.add_component("verify", FactualConsistencyValidator())
    rag.connect("retriever.documents", "gate.documents")
    for name, socket in {"prompt": "documents", "verify": "documents"}.items():
        rag.connect("gate.documents", f"{name}.{socket}")
    rag.connect("gate.report", "verify.retrieval")
    rag.connect("prompt.prompt", "llm.messages")
    rag.connect("llm.replies", "verify.replies")
    for question in ["What is the warranty of a desk lamp?"] * 2 + ["Who won at chess?"]:
        asked = {"query": question}
        data = {"retriever": asked, "gate": asked, "prompt": {"question": question}, "verify": asked}
        judged = rag.run(data)["verify"]
        print("accepted" in judged, judged["replies"][0].text)


if __name__ == "__main__":
    main()

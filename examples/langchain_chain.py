"""Retrieve, answer, judge in one LangChain (LCEL) chain; streamed by sentence, and in a batch. Offline.

python examples/langchain_chain.py
"""

from __future__ import annotations

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, RagGuardVerifier
from langchain_ragguard.testing import HashEmbeddings  # in earnest: your own embeddings

CITIES = ["Oslo", "Bergen", "Tromso", "Molde", "Narvik", "Bodo", "Hamar", "Skien"]
TEXTS = {
    f"{city}-{line}": f"Tram {line} of {city} leaves platform {line}{len(city)}. It runs every {line}0 minutes."
    for city in CITIES
    for line in range(1, 6)
}
QUESTION = "Which platform does tram 3 of Bergen leave, and how often does it run?"
SAID = [  # in earnest: your chat model; one that answers truly, half truly, and not at all
    "Tram 3 of Bergen leaves platform 36. It runs every 30 minutes.",
    "Tram 3 of Bergen leaves platform 36. It runs every 5 minutes.",
    "I don't know.",
]
PROMPT = ChatPromptTemplate.from_template("Answer from these records: {context}\n\n{question}")


def main() -> None:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(id=key, page_content=text) for key, text in TEXTS.items()])
    questions = [  # in earnest: 50 questions or more that people asked, with the ids that answer them
        {"id": key, "question": f"Which platform does tram {key[-1]} of {key[:-2]} leave?", "relevant": [key]}
        for key in TEXTS
    ]
    retriever = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, metric="cosine_similarity", alpha=0.1
    )
    chain = (
        RunnablePassthrough.assign(context=RunnableLambda(lambda asked: asked["question"]) | retriever)
        | RunnablePassthrough.assign(answer=PROMPT | FakeListChatModel(responses=SAID) | StrOutputParser())
        | RagGuardVerifier(guard=retriever.guard, mode="sentence")
    )
    for _ in SAID:
        print([chunk["answer"] for chunk in chain.stream({"question": QUESTION})])
    asked = {"question": QUESTION, "context": retriever.invoke(QUESTION)}
    verifier = RagGuardVerifier(guard=retriever.guard)
    for found in verifier.batch([{**asked, "answer": said} for said in SAID]):  # one pass of the scorer
        print(found["released"], found["ragguard"]["reason"])


if __name__ == "__main__":
    main()

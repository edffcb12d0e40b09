"""A bot that remembers: follow-ups are rewritten, and the rewritten question is what is guarded. Offline.

python examples/langchain_conversation.py
"""

from __future__ import annotations

from operator import itemgetter

from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, RagGuardVerifier, StandaloneQuestion
from langchain_ragguard.testing import HashEmbeddings  # in earnest: your own embeddings

METALS = ["copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium"]
FACTS = ["density", "colour", "hardness", "price", "origin"]
TEXTS = {f"{m}-{f}": f"The {f} of {m} is listed in table {m} {f}." for m in METALS for f in FACTS}


def rewriting(prompt: str) -> str:
    """In earnest a chat model: it is shown the conversation, and writes the standalone question."""
    *before, follow_up = prompt.lower().split("last question: ")
    metal = max(METALS, key=lambda m: before[0].rfind(m))
    fact = next((f for f in FACTS if f in follow_up), "")
    return f"What is the {fact} of {metal}?" if fact else ""


def answering(asked: dict) -> str:
    """In earnest a prompt and a chat model."""
    return "It is 17." if "price" in asked["standalone"] else asked["context"][0].page_content


def main() -> None:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(id=key, page_content=text) for key, text in TEXTS.items()])
    rewriter = StandaloneQuestion(model=rewriting, model_name="rules-1")
    asked = "What is the {1} of {0}?"  # as the rewriter writes it: this text is what is retrieved with
    questions = [{"id": k, "question": asked.format(*k.split("-")), "relevant": [k]} for k in TEXTS]
    retriever = GuardedRetriever.calibrate(
        store, questions, k=10, higher_is_better=True, alpha=0.1, score="gap", rewriter=rewriter
    )
    bot = (
        RunnablePassthrough.assign(standalone=rewriter)
        | RunnablePassthrough.assign(context=itemgetter("standalone") | retriever)
        | RunnablePassthrough.assign(answer=RunnableLambda(answering))
        | RagGuardVerifier(guard=retriever.guard)
    )
    history: list[tuple[str, str]] = []
    for question in ("What is the density of nickel?", "And its hardness?", "And its price?"):
        found = bot.invoke({"question": question, "history": history})
        print(f"{found['ragguard']['turn']['standalone']} {found['answer']}")
        history += [("user", question), ("assistant", found["answer"])]  # what was shown, and no more


if __name__ == "__main__":
    main()

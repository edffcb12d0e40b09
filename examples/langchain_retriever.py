"""A LangChain chain whose context and answer are guarded; offline, without a language model's key.

python examples/langchain_retriever.py
"""

from __future__ import annotations

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever, RagGuardVerifier
from langchain_ragguard.testing import HashEmbeddings  # in earnest: your own embeddings

TEXTS = {
    "returns": "Goods may be returned within 30 days of delivery.",
    "warranty": "The warranty on lamps lasts two years.",
    "shipping": "Shipping to Norway takes five working days.",
    "invoice": "An invoice is sent by e-mail on the day of the order.",
    "payment": "Payment by bank transfer is due within ten days.",
    "opening": "The shop in Bergen opens at nine in the morning.",
    "bulbs": "Spare bulbs for the desk lamp cost 4 euros each.",
    "repair": "A repair of the floor lamp needs about two weeks.",
    "gift": "Gift cards are valid for three years.",
    "colour": "The desk lamp comes in green, red and grey.",
    "weight": "The floor lamp weighs 6 kilograms.",
    "cancel": "An order can be cancelled until it is shipped.",
}
FORMS = ["{}, what about it?", "{}, how long or how much is it?", "Tell me, {}?"]


def main() -> None:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(id=key, page_content=text) for key, text in TEXTS.items()])
    questions = [  # in earnest: 50 questions or more that people asked, with the ids that answer them
        {"id": f"{key}-{i}", "question": form.format(" ".join(text.split()[:4])), "relevant": [key]}
        for key, text in TEXTS.items()
        for i, form in enumerate(FORMS)
    ]
    retriever = GuardedRetriever.calibrate(store, questions, k=10, higher_is_better=True, alpha=0.1)
    for said in ("The warranty on lamps lasts two years.", "The warranty on lamps lasts ten years."):
        chain = (
            RunnablePassthrough.assign(context=RunnableLambda(lambda x: x["question"]) | retriever)
            | RunnablePassthrough.assign(
                answer=RunnableLambda(str) | FakeListChatModel(responses=[said]) | StrOutputParser()
            )
            | RagGuardVerifier(guard=retriever.guard)
        )
        for chunk in chain.stream({"question": "The warranty on lamps, how long does it last?"}):
            print(chunk["released"], chunk["answer"])
    print(retriever.report("Who won the chess match?").reason.sentence)
    print(retriever.report("The warranty on lamps, how long does it last?").certificate().statement)


if __name__ == "__main__":
    main()

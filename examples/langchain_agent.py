"""A LangChain agent whose answers are judged before a word of them is streamed; offline, with a scripted model.

python examples/langchain_agent.py
"""

from __future__ import annotations

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_ragguard import GuardedRetriever
from langchain_ragguard.middleware import RagGuardMiddleware
from langchain_ragguard.testing import HashEmbeddings  # in earnest: your own embeddings
from langchain_ragguard.testing.models import StreamingChatModel  # in earnest: your own chat model
from langchain_ragguard.tools import guarded_retriever_tool

TEXTS = {
    "returns": "Goods may be returned within 30 days of delivery.",
    "warranty": "The warranty on lamps lasts two years.",
    "shipping": "Shipping to Norway takes five working days.",
    "payment": "Payment by bank transfer is due within ten days.",
    "opening": "The shop in Bergen opens at nine in the morning.",
    "bulbs": "Spare bulbs for the desk lamp cost 4 euros each.",
    "repair": "A repair of the floor lamp needs about two weeks.",
    "gift": "Gift cards are valid for three years.",
    "colour": "The desk lamp comes in green, red and grey.",
}
FORMS = ("{}, what about it?", "{}, how long or how much is it?", "Tell me, {}?")
TRUE, FALSE = "The warranty on lamps lasts two years.", "The warranty on lamps lasts ten years."


def main() -> None:
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_documents([Document(id=key, page_content=text) for key, text in TEXTS.items()])
    questions = [  # in earnest: 50 questions or more that people asked, with the ids that answer them
        {"id": f"{key}-{i}", "question": form.format(" ".join(text.split()[:4])), "relevant": [key]}
        for key, text in TEXTS.items()
        for i, form in enumerate(FORMS)
    ]
    retriever = GuardedRetriever.calibrate(store, questions, k=10, higher_is_better=True, alpha=0.1)
    search = guarded_retriever_tool(retriever, "search_handbook", "Looks things up in the handbook.")
    call = {"name": "search_handbook", "args": {"query": "The warranty on lamps, how long is it?"}, "id": "1"}
    looking = AIMessage("", tool_calls=[call])
    for policy, drafts in (("refuse", [TRUE]), ("refuse", [FALSE]), ("regenerate", [FALSE, TRUE])):
        agent = create_agent(
            StreamingChatModel(script=[looking, *drafts]),
            tools=[search],
            middleware=[RagGuardMiddleware(retriever.guard, policy=policy)],
        )
        given = {"messages": [("user", "How long is the warranty on lamps?")]}
        for message, _ in agent.stream(given, stream_mode="messages"):
            if "ragguard" in message.response_metadata:
                print(policy, message.response_metadata["ragguard"]["certificates"], message.text)


if __name__ == "__main__":
    main()

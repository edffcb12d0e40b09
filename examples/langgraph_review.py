"""A LangGraph graph: retrieve, gate, answer and judge, and a person where the answer is withheld; offline.

python examples/langgraph_review.py
"""

from operator import itemgetter
from typing import Any, TypedDict

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel  # in earnest: your own model
from langchain_core.runnables import RunnableParallel
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from langchain_ragguard import GuardedRetriever, ScoredVectorStoreRetriever
from langchain_ragguard.graph import human_review_node, retrieval_gate_node, verify_node
from langchain_ragguard.testing import HashEmbeddings  # in earnest: your own embeddings

LAMPS = "desk floor wall table bed bath hall step loft barn tree star".split()
TEXTS = {lamp: f"The warranty on {lamp} lamps lasts {years} years." for years, lamp in enumerate(LAMPS, 2)}
FORMS = ["How long is the warranty on {} lamps?", "What is the warranty on {} lamps?", "{} lamps: warranty?"]
ASKED = ["What is the warranty on wall lamps?", "Who won?", "What is the warranty on bed lamps?"]


class State(TypedDict, total=False):
    question: str
    documents: list[Document]
    answer: str
    ragguard: dict[str, Any]  # the report
    ragguard_review: dict[str, Any] | None  # what waits for a person


def main() -> None:
    store = InMemoryVectorStore.from_texts(list(TEXTS.values()), HashEmbeddings(), ids=list(TEXTS))
    base = ScoredVectorStoreRetriever(vectorstore=store, higher_is_better=True, k=10)
    asked = [(form.format(lamp), lamp) for lamp in LAMPS for form in FORMS]
    questions = [{"id": text, "question": text, "relevant": [lamp]} for text, lamp in asked]
    guard = GuardedRetriever.calibrate(base, questions, alpha=0.1).guard
    model = FakeListChatModel(responses=[TEXTS["wall"], "The warranty lasts ninety years."])

    graph = StateGraph(State)
    found = RunnableParallel(documents=itemgetter("question") | base)
    graph.add_sequence([("retrieve", found), ("gate", retrieval_gate_node(guard, ok="answer"))])
    judge = verify_node(guard, draft=itemgetter("question") | model, policy="interrupt", fail="review")
    graph.add_node("answer", judge).add_node("review", human_review_node(verify="answer"))
    graph.add_edge(START, "retrieve")
    app = graph.compile(checkpointer=InMemorySaver())
    for thread, question in enumerate(ASKED):
        config: Any = {"configurable": {"thread_id": str(thread)}}
        state = app.invoke({"question": question}, config)
        print(state["answer"])
    print("waiting:", state["__interrupt__"][0].value["draft"])
    print("edited:", app.invoke(Command(resume={"type": "edit", "text": TEXTS["bed"]}), config)["answer"])


if __name__ == "__main__":
    main()

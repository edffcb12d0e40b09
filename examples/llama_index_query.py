"""A LlamaIndex query engine whose retrieval and answers are guarded; offline, without a language model's key.

python examples/llama_index_query.py
"""

from __future__ import annotations

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode

from llama_index_ragguard import ConformalNodePostprocessor, RagGuardQueryEngine
from llama_index_ragguard.testing import HashEmbedding, ScriptedLLM  # in earnest: your own models
from ragguard import ConsistencyGuard
from ragguard.alignment.lexical import LexicalAligner

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
ASKED = "The warranty on lamps, how long does it last?"


def main() -> None:
    nodes = [TextNode(id_=key, text=text) for key, text in TEXTS.items()]
    index = VectorStoreIndex(nodes, embed_model=HashEmbedding())
    questions = [  # in earnest: 50 questions or more that people asked, with the ids of the nodes that answer
        {"id": f"{key}-{i}", "question": form.format(" ".join(text.split()[:4])), "relevant": [key]}
        for key, text in TEXTS.items()
        for i, form in enumerate(FORMS)
    ]
    judge = ConsistencyGuard(LexicalAligner())  # in earnest: ConsistencyGuard(), with the trained aligner
    cut = ConformalNodePostprocessor.calibrate(
        index, questions, similarity_top_k=10, alpha=0.1, guards=[judge]
    )
    for said in ("The warranty on lamps lasts two years.", "The warranty on lamps lasts ten years."):
        engine = index.as_query_engine(
            llm=ScriptedLLM(answers=[said]), similarity_top_k=10, node_postprocessors=[cut], streaming=True
        )
        guarded = RagGuardQueryEngine(engine, guard=cut.guard)
        response = guarded.query(ASKED)
        print("".join(response.response_gen))
    print(guarded.query("Who won the chess match?"))
    print(guarded.query(ASKED).source_nodes[0].metadata["ragguard"]["certificate"]["statement"])


if __name__ == "__main__":
    main()

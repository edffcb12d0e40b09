from __future__ import annotations

from typing import Any

from haystack import Document, Pipeline, SuperComponent, component
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice, Secret

from haystack_integrations.components.guards.ragguard.identity import feeding, of_component, of_socket
from haystack_integrations.components.guards.ragguard.testing import HashTextEmbedder


@component
class Remote:
    def __init__(
        self,
        url: str,
        model: str = "m-1",
        api_key: Secret | None = None,
        device: ComponentDevice | None = None,
        batch_size: int = 32,
        kind: type = int,
        weights: tuple[Any, ...] = (0.5, "hush"),
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.url, self._model, self.api_key, self.device = url, model, api_key, device
        self.batch_size, self.kind, self.weights, self.extra = batch_size, kind, weights, extra

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, Any]:
        return {"documents": []}


def test_numbers_and_names_of_models_and_classes_are_seen_and_other_text_is_not() -> None:
    remote = Remote(
        "https://user:hunter2@example.org",
        api_key=Secret.from_token("hunter2"),
        device=ComponentDevice.from_str("cpu"),
        extra={"token": "hunter2", "depth": 3},
    )
    seen = of_component(remote)
    assert seen.pop("name").endswith("Remote")
    assert seen == {"model": "m-1", "kind": "builtins.int", "weights": [0.5], "extra": {"depth": 3}}


def test_a_component_that_names_itself_is_believed() -> None:
    class Named:
        def fingerprint(self) -> dict[str, Any]:
            return {"index": "May"}

    seen = of_component(Named())
    assert seen.pop("name").endswith("Named")
    assert seen == {"index": "May"}


def hybrid(**options: Any) -> Pipeline:
    store = InMemoryDocumentStore()
    pipeline = Pipeline()
    pipeline.add_component("embedder", HashTextEmbedder(options.get("dimension", 32)))
    pipeline.add_component("dense", InMemoryEmbeddingRetriever(store))
    pipeline.add_component("sparse", InMemoryBM25Retriever(store))
    pipeline.add_component("joiner", DocumentJoiner(join_mode=options.get("join_mode", "merge")))
    pipeline.connect("embedder.embedding", "dense.query_embedding")
    pipeline.connect("dense", "joiner")
    pipeline.connect("sparse", "joiner")
    return pipeline


def test_everything_that_feeds_a_socket_is_seen_whatever_it_is_called() -> None:
    first = of_socket(hybrid(), "joiner", "documents")
    assert first == of_socket(hybrid(), "joiner", "documents")
    assert first != of_socket(hybrid(dimension=64), "joiner", "documents")
    assert first != of_socket(hybrid(join_mode="concatenate"), "joiner", "documents")


def test_where_the_question_comes_from_is_not_the_retrievers_affair() -> None:
    @component
    class Rewriter:
        @component.output_types(query=str)
        def run(self, text: str) -> dict[str, str]:
            return {"query": text}

    alone, rewritten = hybrid(), hybrid()
    rewritten.add_component("rewriter", Rewriter())
    rewritten.connect("rewriter.query", "sparse.query")
    assert of_socket(alone, "joiner", "documents") == of_socket(rewritten, "joiner", "documents")


def test_a_pipeline_inside_a_component_is_looked_into() -> None:
    def wrapped(dimension: int) -> Any:
        return SuperComponent(
            hybrid(dimension=dimension),
            input_mapping={"query": ["embedder.text", "sparse.query"]},
            output_mapping={"joiner.documents": "documents"},
        )

    assert of_component(wrapped(32)) == of_component(wrapped(32))
    assert of_component(wrapped(32)) != of_component(wrapped(64))


def test_a_loop_in_a_pipeline_is_gone_round_once() -> None:
    @component
    class Again:
        @component.output_types(documents=list[Document])
        def run(self, documents: list[Document] | None = None) -> dict[str, Any]:
            return {"documents": documents or []}

    pipeline = Pipeline()
    for name in ("a", "b"):
        pipeline.add_component(name, Again())
    pipeline.connect("a", "b")
    pipeline.connect("b", "a")
    assert of_socket(pipeline, "a", "documents")["inputs"]["documents"][0]["output"] == "documents"


def test_what_is_connected_to_an_input_is_found() -> None:
    pipeline = hybrid()
    assert feeding(pipeline, pipeline.get_component("joiner"), "documents") == [
        ("dense", "documents"),
        ("sparse", "documents"),
    ]

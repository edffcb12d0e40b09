"""A Haystack retriever, or the pipeline around one, as ragguard's: the same in calibration and in service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from haystack import Pipeline
from haystack.dataclasses import Document

from haystack_integrations.components.guards.ragguard.documents import candidates
from haystack_integrations.components.guards.ragguard.identity import of_component, of_socket
from ragguard.conformal.orientation import PROBED, Hits
from ragguard.corpus.retrievers import AdaptedRetriever
from ragguard.errors import ConfigurationError
from ragguard.types import Passage


class DocumentSource(AdaptedRetriever):
    """Where the documents of a gate come from.

    Args:
        ask: from a question to documents; None where it is only compared and not asked.
        seen: what retrieves, see `identity`.
        higher_is_better: False where the documents' scores are distances.
        id_key: meta key that names a document, see `passage_id`.
        identity: declared name and version of what cannot be seen from here.
        depth: documents asked for, if known.
    """

    def __init__(
        self,
        ask: Callable[[str], Sequence[Document]] | None,
        seen: dict[str, Any],
        *,
        higher_is_better: bool = True,
        id_key: str | None = None,
        identity: str | None = None,
        depth: int | None = None,
    ) -> None:
        super().__init__(ask or _nothing, lower_is_better=not higher_is_better, limit=depth)
        self._ask = ask or _nothing
        self._seen = seen
        self._higher = higher_is_better
        self._id_key = id_key
        self._identity = identity

    def __call__(self, question: str) -> list[Passage]:
        """Return what is found as passages, best first.

        Raises:
            InvalidScoreError: a document has no finite score.
        """
        found = self._ask(question)
        return list(candidates(found, higher_is_better=self._higher, id_key=self._id_key).passages)

    def probes(self, questions: Sequence[str]) -> list[tuple[str, Hits]]:
        """Return some documents' texts, each with what the source finds for that very text.

        Args:
            questions: the documents are those of the first that finds any.
        """
        found = next((passages for text in questions if (passages := self(text))), [])
        texts = [passage.text for passage in found[:PROBED] if passage.text.strip()]
        return [(text, [(hit.text, hit.score or 0.0) for hit in self(text)]) for text in texts]

    def fingerprint(self) -> dict[str, Any]:
        """What retrieves, which way its scores point, how deep, and by what a document is named."""
        return {
            "retriever": {**self._seen, "identity": self._identity},
            "scored_by": "the document's score",
            "orientation": "higher" if self._higher else "lower",
            "depth": self.depth,
            "id_key": self._id_key,
        }


def source_of(
    source: Any, question: str | Sequence[str] | None, documents: str | None, **named: Any
) -> DocumentSource:
    """Return a retriever component, or a pipeline that retrieves, as a source.

    Args:
        source: a component with `run`, or a `Pipeline`.
        question: of a component, the input that takes the question ("query" by default);
            of a pipeline, one "component.input" or several.
        documents: of a component, the output that holds the documents ("documents" by
            default); of a pipeline, "component.output".
        named: see `DocumentSource`.

    Raises:
        ConfigurationError: an input or output is missing, or there is no such one.
    """
    if isinstance(source, Pipeline):
        return _of_pipeline(source, question, documents, named)
    inputs, outputs = (getattr(source, f"__haystack_{side}__", {}) for side in ("input", "output"))
    given, taken = question or "query", documents or "documents"
    if not isinstance(given, str) or inputs.get(given) is None or outputs.get(taken) is None:
        raise ConfigurationError(
            f"{type(source).__name__} is no component from {given!r} to {taken!r}",
            hint="pass a retriever, or a Pipeline with question='component.input' and documents='component.output'",
        )

    def ask(text: str) -> Sequence[Document]:
        found: Sequence[Document] = source.run(**{given: text})[taken]
        return found

    if callable(getattr(source, "warm_up", None)):
        source.warm_up()
    return DocumentSource(ask, {**of_component(source), "output": taken}, depth=depth_of(source), **named)


def of_pipeline_socket(pipeline: Pipeline, name: str, socket: str, **named: Any) -> DocumentSource:
    """Return what is connected to a gate as a source to compare, not to ask."""
    instance = pipeline.graph.nodes[name]["instance"]
    return DocumentSource(None, of_socket(pipeline, name, socket), depth=depth_of(instance), **named)


def depth_of(component: Any) -> int | None:
    """Return how many documents a retriever is asked for, where it says so."""
    top_k = getattr(component, "top_k", None)
    return top_k if type(top_k) is int and top_k > 0 else None


def _of_pipeline(
    pipeline: Pipeline, question: str | Sequence[str] | None, documents: str | None, named: dict[str, Any]
) -> DocumentSource:
    sockets = [question] if isinstance(question, str) else list(question or ())
    if not sockets or documents is None:
        raise ConfigurationError(
            "a pipeline needs to be told where the question goes in and the documents come out",
            hint="e.g. question='embedder.text', documents='retriever.documents'",
        )
    inputs = [_socket(pipeline, socket, "input") for socket in sockets]
    name, output = _socket(pipeline, documents, "output")

    def ask(text: str) -> Sequence[Document]:
        data: dict[str, dict[str, Any]] = {}
        for component, socket in inputs:
            data.setdefault(component, {})[socket] = text
        found: Sequence[Document] = pipeline.run(data, include_outputs_from={name})[name][output]
        return found

    depth = depth_of(pipeline.graph.nodes[name]["instance"])
    return DocumentSource(ask, of_socket(pipeline, name, output), depth=depth, **named)


def _socket(pipeline: Pipeline, named: str, side: str) -> tuple[str, str]:
    component, _, socket = named.partition(".")
    known = pipeline.graph.nodes.get(component, {}).get(f"{side}_sockets", {})
    if socket not in known:
        raise ConfigurationError(
            f"the pipeline has no {side} {named!r}", hint=f"of {component!r} it has {sorted(known)}"
        )
    return component, socket


def _nothing(question: str) -> Sequence[Document]:
    return ()

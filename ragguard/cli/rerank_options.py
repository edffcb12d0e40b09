"""Options that the commands of `ragguard rerank` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.errors import InvalidValueError

if TYPE_CHECKING:
    from ragguard.preference.blend import Blend
    from ragguard.preference.readers import Reader
    from ragguard.preference.reranker import PreferenceReranker

ModelOption = Annotated[str, typer.Option("--model", help="bundled, or a reranker's folder.")]
ReaderIdOption = Annotated[
    str | None,
    typer.Option("--reader", help="Id of the reader served; a model trained for another is refused."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Use a model that was trained for another reader.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="e.g. relevance=0.5,similarity=0.2,bm25=0.3; default: the model's."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")]
ReaderOption = Annotated[
    str, typer.Option("--reader", help="smollm2, or the name of a registered generator.")
]


def loaded_reranker(
    model: str, *, reader: str | None, force: bool, weights: str | None
) -> PreferenceReranker:
    """Return the reranker of a model, its weights loaded: what is wrong is said before any item is read.

    Without a reader none is served yet, so a model trained for one may be looked at.

    Raises:
        ReaderMismatchError: it was trained for another reader.
        UnreadableFileError: there is no such model.
        InvalidValueError: the weights cannot be used.
    """
    from ragguard.preference.reranker import PreferenceReranker

    made = PreferenceReranker(
        model,
        weights=None if weights is None else parsed_weights(weights),
        reader=reader,
        force=force or reader is None,
    )
    made.warm_up()
    return made


def parsed_weights(text: str) -> Blend:
    """Return the blend that "relevance=0.5,bm25=0.5" stands for.

    Raises:
        InvalidValueError: it stands for none.
    """
    from ragguard.preference.blend import Blend

    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise InvalidValueError(
                f"--weights: {part!r} is no name=number", hint="e.g. relevance=0.5,similarity=0.2,bm25=0.3"
            ) from None
    return Blend.of(found)


def loaded_reader(name: str) -> Reader:
    """Return the reader of that name: "smollm2", answering in batches, or a registered generator.

    Raises:
        UnknownNameError: there is no such generator.
        MissingDependencyError: its package is not installed.
    """
    from ragguard import registry
    from ragguard.models.batched import smollm2_completer
    from ragguard.preference.readers import as_reader

    if name == "smollm2":
        return as_reader(smollm2_completer())
    made: Any = registry.create("ragguard.generators", name)
    return as_reader(made, name=name)

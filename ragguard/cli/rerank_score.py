"""`ragguard rerank score`: questions with passages in, a score a passage and their order out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import ITEM_FAILED, Items, failed, read_items, write_lines
from ragguard.cli.rerank_options import (
    ForceOption,
    ModelOption,
    ReaderIdOption,
    WeightsOption,
    loaded_reranker,
)
from ragguard.errors import DataError
from ragguard.types import Passage

if TYPE_CHECKING:
    from ragguard.preference.reranker import PreferenceReranker

_HINT = '{"id","question","passages":[text, or {"text","score"}]}'


def score(
    source: Annotated[str, typer.Option("--input", help=f"JSONL of {_HINT}, or -.")] = "-",
    output: Annotated[str, typer.Option(help="File for JSON lines, or -.")] = "-",
    model: ModelOption = "bundled",
    reader: ReaderIdOption = None,
    force: ForceOption = False,
    weights: WeightsOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Accepted for symmetry: the output is JSON lines.")
    ] = True,
) -> None:
    """Score passages by how well they serve a question; "order" holds their places, best first."""
    items = read_items(source)
    reranker = loaded_reranker(model, reader=reader, force=force, weights=weights)
    if write_lines(output, scored(items, reranker)):
        raise typer.Exit(ITEM_FAILED)


def scored(items: Items, reranker: PreferenceReranker) -> Iterator[dict[str, Any]]:
    """Yield one line an item, in order: scores in the order given, and the order; or why it failed."""
    for where, item in items:
        identity = item.get("id", where) if isinstance(item, Mapping) else where
        try:
            if isinstance(item, DataError):
                raise item
            question, passages = _asked(item, where)
            ranked = reranker.rank(question, passages)
        except Exception as error:  # noqa: BLE001 - one bad item must not stop the others
            yield failed(identity, error)
            continue
        scores = {one.index: one.score for one in ranked}
        yield {
            "id": identity,
            "scores": [scores[place] for place in range(len(passages))],
            "order": [one.index for one in ranked],
        }


def _asked(item: Mapping[str, Any], where: str) -> tuple[str, list[Passage]]:
    question, passages = item.get("question"), item.get("passages")
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: no question", hint=_HINT)
    if not isinstance(passages, list):
        raise DataError(f"{where}: passages is no list", hint=_HINT)
    return question, [_passage(one, place, where) for place, one in enumerate(passages)]


def _passage(given: Any, place: int, where: str) -> Passage:
    fields = given if isinstance(given, dict) else {"text": given}
    text, number = fields.get("text"), fields.get("score")
    if not isinstance(text, str) or isinstance(number, bool) or not isinstance(number, int | float | None):
        raise DataError(f"{where}: passage {place} is no text", hint=_HINT)
    return Passage(id=str(place), text=text, score=number)

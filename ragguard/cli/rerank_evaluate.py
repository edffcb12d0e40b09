"""`ragguard rerank evaluate`: how well a reranker orders passages by what they did for the reader."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import emit
from ragguard.cli.rerank_options import (
    ForceOption,
    JsonOption,
    ModelOption,
    ReaderIdOption,
    WeightsOption,
    loaded_reranker,
)
from ragguard.errors import ConfigurationError, PreferenceSetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragguard.preference.blend import Blend
    from ragguard.preference.groups import Group
    from ragguard.preference.reranker import PreferenceReranker


def evaluate(
    preferences: Annotated[Path, typer.Option(help="JSON lines as `rerank probe` writes them.")],
    model: ModelOption = "bundled",
    reader: ReaderIdOption = None,
    force: ForceOption = False,
    weights: WeightsOption = None,
    choose: Annotated[
        bool, typer.Option("--choose", help="Choose the weights on half of the questions, by cluster.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", help="With --choose: keep the weights in the model's folder.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a reranker within questions, beside the retriever's order; with --choose on the other half."""
    from ragguard.preference.groups import groups_of
    from ragguard.preference.records import read_examples
    from ragguard.preference.scorers import write_blend

    if choose and weights is not None:
        raise ConfigurationError("give either --choose or --weights")
    if store and (not choose or not Path(model).is_dir()):
        raise ConfigurationError("--store needs --choose and a model's folder")
    # Whose preferences these are is in the file; a model of another reader is refused below.
    examples = read_examples(preferences, reader=reader)
    groups = groups_of(examples)
    reranker = loaded_reranker(model, reader=examples[0].reader, force=force, weights=weights)
    parts = {group.query_id: parts_of(group, reranker) for group in groups}
    blend, measured = reranker.blend, groups
    if choose:
        tuning = [group for group in groups if _tunes(group)]
        measured = [group for group in groups if not _tunes(group)]
        blend = chosen(tuning, parts)
        if store:
            write_blend(Path(model), blend)
    body = {
        "reader": examples[0].reader,
        "model": model,
        "weights": blend.weights,
        "chosen_on": len(groups) - len(measured) if choose else 0,
        **figures(measured, parts, blend),
    }
    emit(body, as_json=as_json, title="evaluated")


def parts_of(group: Group, reranker: PreferenceReranker) -> Any:
    """Return relevance, similarity and BM25 of a question's passages; without scores of the retriever, none of it."""
    import numpy as np

    from ragguard.preference.blend import Parts
    from ragguard.preference.bm25 import bm25_scores

    texts = [member.passage for member in group.members]
    scores = [member.retriever_score for member in group.members]
    known = [score for score in scores if score is not None]
    similarity = np.array(known) if len(known) == len(scores) else np.zeros(len(scores))
    relevance = reranker.score_pairs([(group.query, text) for text in texts])
    return Parts(relevance, similarity, bm25_scores(group.query, texts))


def chosen(groups: Sequence[Group], parts: Any) -> Blend:
    """Return the weights that order the passages that helped best.

    Raises:
        PreferenceSetError: no passage helped in any of these questions.
    """
    from ragguard.preference.blend import Judged
    from ragguard.preference.blend import choose as best

    judged = [Judged(parts[group.query_id], group.gains > 0) for group in groups if (group.gains > 0).any()]
    if not judged:
        raise PreferenceSetError("no passage helped in the tuning half", hint="probe more questions")
    return best(judged)


def figures(groups: Sequence[Group], parts: Any, blend: Blend) -> dict[str, Any]:
    """Return the metrics of each order, and the gains of the blend over the others with intervals."""
    from ragguard.preference.promotion import paired_gain
    from ragguard.preference.ranking import means_of, metrics_of

    orders: dict[str, list[NDArray[np.float64]]] = {
        "retriever": [-g.ranks.astype(float) for g in groups],
        "bm25": [parts[g.query_id].bm25 for g in groups],
        "model": [parts[g.query_id].relevance for g in groups],
        "reranker": [blend.scores(parts[g.query_id]) for g in groups],
    }
    rows = {
        name: [metrics_of(s, g.gains, ranks=g.ranks) for s, g in zip(scores, groups, strict=True)]
        for name, scores in orders.items()
    }
    clusters = [g.cluster or g.query_id for g in groups]
    gains = {
        f"over_{other}": {
            metric: paired_gain(
                [row[metric] for row in rows[other]],
                [row[metric] for row in rows["reranker"]],
                clusters=clusters,
            ).as_json()
            for metric in ("ndcg", "mrr@10", "hit@1")
        }
        for other in ("retriever", "bm25", "model")
    }
    return {**{name: means_of(found) for name, found in rows.items()}, "gains": gains}


def _tunes(group: Group) -> bool:
    """Half of the clusters, for ever the same."""
    return hashlib.sha256((group.cluster or group.query_id).encode()).digest()[0] % 2 == 0

"""What comes into a component as the turn that is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from haystack_integrations.components.guards.ragguard.documents import unscored
from ragguard.errors import InvalidValueError
from ragguard.types import Report, Turn


def asked_turn(
    query: str, documents: Any, *, retrieval: Mapping[str, Any] | None, id_key: str | None
) -> Turn | Report:
    """Return the turn without its answer, or the report of a retrieval after which none may be shown.

    Args:
        query: a standalone question.
        documents: what the generator read; None takes those of `retrieval`.
        retrieval: the gate's report on this question, or None.
        id_key: meta key that names a document.

    Raises:
        InvalidValueError: neither documents nor report, or a report on another question.
    """
    if retrieval is None:
        if documents is None:
            raise InvalidValueError("nothing to judge by", hint="connect documents, or the gate's report")
        return Turn(question=query, passages=unscored(documents, id_key=id_key))
    try:
        report = Report.model_validate(dict(retrieval))
    except ValidationError:
        # Its text may quote the report, and so the user.
        raise InvalidValueError("retrieval is no report", hint="connect the gate's `report`") from None
    if report.turn.query != query:
        raise InvalidValueError("the retrieval's report is about another question")
    if not report.released:
        return report
    if documents is None:
        return report.turn.replace(answer=None)
    # With the scores that they were kept by, the cut knows them again.
    scores = {passage.id: passage.score for passage in report.passages}
    read = unscored(documents, id_key=id_key)
    passages = tuple(p.model_copy(update={"score": scores.get(p.id)}) for p in read)
    return report.turn.replace(passages=passages, answer=None)

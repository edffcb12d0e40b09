"""`ragguard trace build`, `add`, `compact` and `info`: the index of registered corpora."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import emit
from ragguard.cli.trace_options import (
    DenyOption,
    IndexArgument,
    JsonOption,
    PolicyOption,
    TrustedOption,
    private,
    require_there,
)
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError, DuplicateIdError

if TYPE_CHECKING:
    from ragguard.trace.corpus import Label
    from ragguard.trace.documents import TraceDocument
    from ragguard.trace.index import TraceIndex
    from ragguard.trace.policy import PolicyClause


class EngineName(StrEnum):
    """What searches the corpora."""

    pydivsufsort = "pydivsufsort"
    infini_gram = "infini-gram"


def build(
    out: Annotated[Path, typer.Option(help="Folder to write; an index there is replaced.")],
    deny: DenyOption = None,
    policy: PolicyOption = None,
    trusted: TrustedOption = None,
    engine: Annotated[
        EngineName, typer.Option(help="infini-gram, an extra, searches corpora larger than memory.")
    ] = EngineName.pydivsufsort,
    as_json: JsonOption = False,
) -> None:
    """Register corpora: what must not be shown, what must not be contradicted, what may be said."""
    from ragguard.trace.documents import load_documents
    from ragguard.trace.index import TraceIndex
    from ragguard.trace.policy import FILE_NAME, policy_documents, store_policy

    _require_some({"--deny": deny, "--policy": policy, "--trusted": trusted})
    clauses = _clauses(policy or ())
    with private(out), ProgressBar() as progress:
        index = TraceIndex.build(
            out,
            deny=load_documents(deny or ()),
            policy=policy_documents(clauses),
            trusted=load_documents(trusted or ()),
            engine=engine.value,
            progress=progress,
        )
        if clauses:
            store_policy(out, clauses)
        else:
            (out / FILE_NAME).unlink(missing_ok=True)
    _tell(out, index, as_json=as_json, title="built")


def add(
    folder: IndexArgument,
    deny: DenyOption = None,
    trusted: TrustedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add documents to an index; what is there is not built again."""
    from ragguard.trace.documents import load_documents
    from ragguard.trace.index import TraceIndex

    _require_some({"--deny": deny, "--trusted": trusted})
    index = TraceIndex.open(folder)
    # All are read before the first is added: a file that cannot be read leaves the index as it is.
    given: list[tuple[Label, Sequence[TraceDocument]]] = [
        ("deny", load_documents(deny or ())),
        ("trusted", load_documents(trusted or ())),
    ]
    for label, documents in given:
        _require_new(index, label, documents)
    with private(folder), ProgressBar() as progress:
        for label, documents in given:
            if documents:
                index.add(label, documents, progress=progress)
    _tell(folder, index, as_json=as_json, title="added")


def compact(folder: IndexArgument, as_json: JsonOption = False) -> None:
    """Merge what was added piece by piece, so that every look-up is one search again."""
    from ragguard.trace.index import TraceIndex

    index = TraceIndex.open(folder)
    with private(folder), ProgressBar() as progress:
        index.compact(progress=progress)
    _tell(folder, index, as_json=as_json, title="compacted")


def info(folder: IndexArgument, as_json: JsonOption = False) -> None:
    """Show what an index holds, and what it was calibrated for; no text of it."""
    from ragguard.trace.index import TraceIndex

    _tell(folder, TraceIndex.open(folder), as_json=as_json, title=str(folder), **_promised(folder))


def _tell(folder: Path, index: TraceIndex, *, as_json: bool, title: str, **more: Any) -> None:
    body = {**index.info(), "folder": str(folder), **more}
    if not as_json:
        counts = body.pop("corpora").items()
        body = {
            label: f"{each['documents']} documents, {each['tokens']} words in {each['segments']} segments"
            for label, each in counts
        } | {key: value for key, value in body.items() if key not in ("fingerprint", "tokens")}
    emit(body, as_json=as_json, title=title)


def _promised(folder: Path) -> dict[str, Any]:
    """The ids of the clauses, and what the calibration states."""
    from ragguard.cli.trace_tracer import Subject, calibrated_in, stored_calibration
    from ragguard.trace.policy import stored_policy

    stated: dict[str, Any] = {}
    for subject in Subject:
        held = stored_calibration(calibrated_in(folder, subject))
        if held is not None:
            fields = {"created", "expires", "max_false_refusal", "n", "split", "thresholds"}
            body = held.statement.model_dump(mode="json", include=fields)
            stated[subject.value] = {"id": held.statement.id, **body}
    clauses = [clause.id for clause in stored_policy(folder) or ()]
    return {"clauses": clauses, "calibrations": stated}


def _require_some(given: dict[str, list[Path] | None]) -> None:
    paths = [path for several in given.values() for path in several or ()]
    if not paths:
        raise ConfigurationError("no files", hint=f"give {' or '.join(given)}")
    require_there(paths)


def _require_new(index: TraceIndex, label: Label, documents: Sequence[TraceDocument]) -> None:
    for document in documents:
        if document.id in index.corpora[label]:
            raise DuplicateIdError(
                f"the {label} corpus has a document {document.id!r} already", hint="rename the new one"
            )


def _clauses(paths: Sequence[Path]) -> list[PolicyClause]:
    from ragguard.trace.policy import load_policy

    return [clause for path in paths for clause in load_policy(path)]

"""Policy clauses: statements that no answer may conflict with, read from YAML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ragguard.errors import DuplicateIdError, IndexFileError, UnreadableFileError
from ragguard.trace.documents import TraceDocument
from ragguard.trace.sealed import read_json, write_json

MOST_BYTES = 1 << 20
MOST_EXAMPLES = 100
FILE_NAME = "policy.json"
_SHAPE = "clauses: [{id: ..., text: ..., severity: 1.0, examples: [...]}]"


@dataclass(frozen=True)
class PolicyClause:
    """One statement an answer is held against.

    Attributes:
        id: unique in its policy; verdicts name it.
        text: the rule, as a sentence or two.
        severity: in (0, 1]; a conflict counts for so much. One below the shield's threshold
            never refuses by itself: it is reported.
        examples: sentences that break the rule.
    """

    id: str
    text: str
    severity: float = 1.0
    examples: tuple[str, ...] = ()


def load_policy(path: str | Path) -> tuple[PolicyClause, ...]:
    """Read the clauses of a YAML file: a list of them, or a mapping with `clauses`.

    Only plain data is read: no tags, no aliases (a few nested ones fill any memory), a
    megabyte at most.

    Raises:
        UnreadableFileError: missing, too large, not YAML, or a clause is malformed; its place is named.
        DuplicateIdError: two clauses have one id.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UnreadableFileError(f"{path.name} is larger than a policy may be ({MOST_BYTES} bytes)")
        body = _parsed(data.decode("utf-8-sig"))
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}", hint="check the path") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        # The parser's own message quotes the file; ours must not.
        raise UnreadableFileError(f"{path.name} is not plain YAML", hint=_SHAPE) from _Unquoted(error)
    return _clauses(body, where=path.name)


def _parsed(text: str) -> object:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def store_policy(folder: str | Path, clauses: Sequence[PolicyClause]) -> Path:
    """Write the clauses beside an index, so that it can be opened without the YAML."""
    path = Path(folder) / FILE_NAME
    write_json(path, {"clauses": [asdict(clause) for clause in clauses]})
    return path


def stored_policy(folder: str | Path) -> tuple[PolicyClause, ...] | None:
    """Return the clauses stored beside an index, None where there are none.

    Raises:
        IndexFileError: the file is damaged.
    """
    path = Path(folder) / FILE_NAME
    if not path.exists():
        return None
    try:
        return _clauses(read_json(path), where=FILE_NAME)
    except (UnreadableFileError, DuplicateIdError) as error:
        raise IndexFileError(
            f"{FILE_NAME} of the index cannot be read", hint="build the index again"
        ) from _Unquoted(error)


def policy_documents(clauses: Sequence[PolicyClause]) -> list[TraceDocument]:
    """Return the clauses as documents of a `policy` corpus: their texts, under their ids."""
    return [TraceDocument(id=clause.id, text=clause.text) for clause in clauses]


class _Unquoted(Exception):
    """What stands in an error's cause: its type, without the text it quotes."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def _clauses(body: Any, *, where: str) -> tuple[PolicyClause, ...]:
    if isinstance(body, dict) and set(body) == {"clauses"}:
        body = body["clauses"]
    if not isinstance(body, list) or not body:
        raise UnreadableFileError(f"{where} holds no list of clauses", hint=_SHAPE)
    clauses = tuple(_clause(entry, f"{where}, clause {n}") for n, entry in enumerate(body, start=1))
    repeated = [name for name, count in Counter(c.id for c in clauses).items() if count > 1]
    if repeated:
        raise DuplicateIdError(f"two clauses have the id {repeated[0]!r}", hint="rename one")
    return clauses


def _clause(entry: Any, where: str) -> PolicyClause:
    if not isinstance(entry, dict) or not set(entry) <= {"id", "text", "severity", "examples"}:
        raise UnreadableFileError(f"{where}: not a mapping of id, text, severity, examples", hint=_SHAPE)
    name, text = entry.get("id"), entry.get("text")
    severity, examples = entry.get("severity", 1.0), entry.get("examples", [])
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise UnreadableFileError(f"{where}: `id` must be a short string", hint=_SHAPE)
    if not isinstance(text, str) or not text.strip():
        raise UnreadableFileError(f"{where}: `text` must be a string with words", hint=_SHAPE)
    if isinstance(severity, bool) or not isinstance(severity, int | float) or not 0 < severity <= 1:
        raise UnreadableFileError(f"{where}: `severity` must be a number in (0, 1]", hint=_SHAPE)
    if not isinstance(examples, list | tuple) or len(examples) > MOST_EXAMPLES:
        raise UnreadableFileError(f"{where}: `examples` must be a list of at most {MOST_EXAMPLES}")
    if not all(isinstance(example, str) and example.strip() for example in examples):
        raise UnreadableFileError(f"{where}: every example must be a string with words", hint=_SHAPE)
    return PolicyClause(name, text, float(severity), tuple(examples))

"""What a reader's answers said about a passage, as records and as lines of JSON.

A preference belongs to the reader it was measured with. Files therefore name the
reader in every line, and reading one never mixes two readers unasked.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ragguard.corpus.jsonl import identifier, read_json_lines
from ragguard.errors import DataError, InvalidValueError, UnknownNameError, UnreadableFileError

Outcome: TypeAlias = Literal["correct", "wrong", "abstain"]
"""What one answer was worth."""

Category: TypeAlias = Literal["aligned", "unaligned", "both_correct", "both_wrong"]
"""What a passage did to the answer: helped, harmed, or made no difference."""

Why: TypeAlias = Literal["", "abstained", "contradicted", "format_only"]
"""How a passage harmed, or that it changed the wording alone."""

Record = TypeVar("Record", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProbeQuestion(_Frozen):
    """A question whose answer is known.

    Attributes:
        id: unique in its set.
        text: as a user would ask it.
        answers: the gold answer and its aliases, any of which is correct; at least one.
        gold_passages: ids of passages known to answer it; may be empty.
        cluster: what must not be torn apart by a split, e.g. the article; None for the question alone.
        split: e.g. "train" or "held_out", or None.
    """

    id: str = Field(min_length=1)
    text: str = Field(min_length=1)
    answers: tuple[str, ...] = Field(min_length=1)
    gold_passages: tuple[str, ...] = ()
    cluster: str | None = None
    split: str | None = None


class PreferenceExample(_Frozen):
    """What one passage did to one reader's answer to one question.

    Attributes:
        query_id: of the question.
        query: the question as asked.
        passage_id: of the passage.
        passage: its text.
        category: aligned (wrong without it, correct with it), unaligned (the reverse), or
            neither: both_correct and both_wrong are the neutral tier.
        gain: P(correct with the passage) - P(correct without any), in [-1, 1].
        reason: why a passage harmed: "abstained", "contradicted", or "format_only" where the answer
            still has half of a gold answer's words; "format_only" too where both answers are correct
            and only their wording differs; "" otherwise.
        n: samples a condition, at least 1.
        reader: id of the reader, never empty.
        rank: from 1, in the order of the retriever; None where it was not retrieved.
        retriever_score: higher is nearer, or None.
        cluster: what must not be torn apart by a split, or None for the question alone.
        split: of its question, or None.
        weight: of the example in training, above 0; below 1 for weak evidence.
    """

    query_id: str = Field(min_length=1)
    query: str = Field(min_length=1)
    passage_id: str = Field(min_length=1)
    passage: str
    category: Category
    gain: float = Field(ge=-1.0, le=1.0, allow_inf_nan=False)
    reason: Why = ""
    n: int = Field(default=1, ge=1)
    reader: str = Field(min_length=1)
    rank: int | None = Field(default=None, ge=1)
    retriever_score: float | None = Field(default=None, allow_inf_nan=False)
    cluster: str | None = None
    split: str | None = None
    weight: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _category_follows_the_gain(self) -> PreferenceExample:
        wrong = {"aligned": self.gain <= 0, "unaligned": self.gain >= 0}
        if wrong.get(self.category, False):
            raise ValueError(f"an example that is {self.category} has no gain of {self.gain}")
        return self


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """Return the records of a file, one a line, in order; blank lines are passed over.

    Raises:
        UnreadableFileError: the file is missing or not UTF-8, or a line does not fit; the
            message names file, line and the fields at fault, and quotes no text.
    """
    return [record_of(value, kind, f"{path.name}, line {number}") for number, value in read_json_lines(path)]


def record_of(value: object, kind: type[Record], where: str) -> Record:
    """Return a record of a line's object; `where` says whose line it is.

    Raises:
        UnreadableFileError: it does not fit; the message names the fields and quotes no text.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        # `from None`: pydantic's error holds the line, and with it a user's text.
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        fields = sorted({".".join(str(part) for part in fault["loc"][:1]) or "record" for fault in faults})
        known = [name if name in kind.model_fields or name == "record" else "(unknown)" for name in fields]
        raise UnreadableFileError(
            f"{where}: not a {kind.__name__}; at fault: {', '.join(sorted(set(known)))}",
            hint=f"needed are {', '.join(n for n, f in kind.model_fields.items() if f.is_required())}",
        ) from None


def read_questions(path: Path) -> list[ProbeQuestion]:
    """Return questions whose answers are known, as `{"id", "question", "answers": [...]}` lines.

    "text" is read for "question" too, and a single string "answer" for "answers".

    Raises:
        UnreadableFileError: a line does not fit.
        DataError: two lines have one id, or no line is there.
    """
    found: dict[str, ProbeQuestion] = {}
    for number, value in read_json_lines(path):
        where = f"{path.name}, line {number}"
        fields = dict(value)
        if "question" in fields:
            fields["text"] = fields.pop("question")
        if isinstance(fields.get("answer"), str):
            fields.setdefault("answers", [fields.pop("answer")])
        fields["id"] = identifier(fields.get("id"), where=where, error=UnreadableFileError)
        question = record_of(fields, ProbeQuestion, where)
        if question.id in found:
            raise DataError(f"{where}: the id was used before", hint="give every question its own id")
        found[question.id] = question
    if not found:
        raise DataError(f"{path.name} holds no question", hint="one object a line")
    return list(found.values())


def readers_of(examples: Iterable[PreferenceExample]) -> list[str]:
    """Return the ids of the readers that occur, sorted."""
    return sorted({example.reader for example in examples})


def of_one_reader(
    examples: Sequence[PreferenceExample], reader: str | None = None
) -> list[PreferenceExample]:
    """Return the examples of one reader.

    Args:
        examples: may hold several readers where one is chosen.
        reader: the one wanted; None where there is only one.

    Raises:
        InvalidValueError: there are several and none is chosen.
        UnknownNameError: the chosen one is not there.
    """
    known = readers_of(examples)
    if reader is None:
        if len(known) > 1:
            raise InvalidValueError(
                f"preferences of {len(known)} readers are mixed: {', '.join(known)}", hint="choose one reader"
            )
        return list(examples)
    if reader not in known:
        raise UnknownNameError(
            f"no preference was measured with reader {reader!r}", hint=f"known: {', '.join(known) or 'none'}"
        )
    return [example for example in examples if example.reader == reader]


def read_examples(path: str | Path, *, reader: str | None = None) -> list[PreferenceExample]:
    """Return the preferences of one reader.

    Args:
        path: JSON lines as `write_examples` writes them.
        reader: whose; needed where the file holds those of several.

    Raises:
        UnreadableFileError: the file is missing, or a line does not fit.
        InvalidValueError: it holds several readers and none is chosen.
        UnknownNameError: the chosen reader is not in it.
    """
    return of_one_reader(read_records(Path(path), PreferenceExample), reader)


def write_examples(path: str | Path, examples: Iterable[PreferenceExample]) -> int:
    """Write one line an example and return their number; the file appears whole or not at all."""
    return write_lines(path, (example.model_dump_json() for example in examples))


def write_lines(path: str | Path, lines: Iterable[str]) -> int:
    """Write lines to a file that appears whole or not at all; return their number."""
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count

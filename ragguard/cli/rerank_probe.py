"""`ragguard rerank probe`: questions with answers and a pool of passages in, a reader's preferences out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragguard.cli.output import emit
from ragguard.cli.rerank_options import JsonOption, ReaderOption, loaded_reader
from ragguard.corpus.jsonl import read_json_lines
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError, DataError, InvalidValueError
from ragguard.types import Passage

if TYPE_CHECKING:
    from ragguard.preference.asking import Spent

_POOL_HINT = '{"id": question id, "passages": [{"id","text","score"?}, ...]}, best first'


def probe(
    questions: Annotated[Path, typer.Option(help='JSONL: {"id","question","answers":[...],"cluster"?}.')],
    out: Annotated[Path, typer.Option(help="File for preferences, JSON lines.")],
    folder: Annotated[Path | None, typer.Option(help="Calibrated folder whose index is the pool.")] = None,
    pool: Annotated[Path | None, typer.Option(help=f"JSONL: {_POOL_HINT}.")] = None,
    reader: ReaderOption = "smollm2",
    ranks: Annotated[str, typer.Option(help="Ranks to probe, from 1.")] = "1,25,50,100",
    samples: Annotated[int, typer.Option(help="Answers a condition.")] = 1,
    log: Annotated[
        Path | None, typer.Option(help="Answers kept, to go on from; default: beside --out.")
    ] = None,
    max_calls: Annotated[int | None, typer.Option(help="Most answers to ask for now.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens to read and write now.")] = None,
    max_cost: Annotated[float | None, typer.Option(help="Most to spend now, with --price.")] = None,
    price: Annotated[float, typer.Option(help="Of a thousand tokens.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Ask the reader with and without single passages; the same command goes on where it was stopped."""
    from ragguard.preference.asking import Budget
    from ragguard.preference.probe import probe as run
    from ragguard.preference.probe_log import AnswerLog
    from ragguard.preference.records import read_questions, write_examples

    if (folder is None) == (pool is None):
        raise ConfigurationError("give either --folder or --pool")
    asked = read_questions(questions)
    wanted = _numbers(ranks)
    if pool is not None:
        passages: Any = _read_pool(pool)
    else:
        passages = _retriever(folder or Path(), max(wanted))
    answers = AnswerLog(log or out.with_name(out.name + ".answers"))
    with ProgressBar() as bar:
        found = run(
            loaded_reader(reader),
            asked,
            passages,
            ranks=wanted,
            samples=samples,
            log=answers,
            budget=Budget(calls=max_calls, tokens=max_tokens, cost=max_cost, price=price),
            progress=_shown(bar),
        )
    write_examples(out, found.examples)
    spent = found.spent
    emit(
        {
            "preferences": str(out),
            "reader": found.reader,
            "questions": len(asked),
            "examples": len(found.examples),
            **{
                name: found.counts.get(name, 0)
                for name in ("aligned", "unaligned", "both_correct", "both_wrong")
            },
            "calls": spent.calls,
            "cached": spent.cached,
            "tokens": spent.tokens,
            "cost": spent.cost,
            "left": spent.left,
            "complete": found.complete,
        },
        as_json=as_json,
        title="probed",
    )
    if not found.complete:
        sys.stderr.write(f"{spent.left} answers are missing: the same command goes on\n")


def _shown(bar: ProgressBar) -> Callable[[Spent], None]:
    def told(spent: Spent) -> None:
        cost = f", cost {spent.cost:.4g}" if spent.cost else ""
        bar(
            f"answers ({spent.tokens} tokens{cost})" if cost else "answers",
            spent.cached + spent.calls,
            spent.asked,
        )

    return told


def _retriever(folder: Path, depth: int) -> Callable[[str], Sequence[Passage]]:
    from ragguard.corpus.folder import CorpusFolder

    return CorpusFolder.open(folder).retriever(depth)


def _read_pool(path: Path) -> Mapping[str, list[Passage]]:
    found: dict[str, list[Passage]] = {}
    for number, line in read_json_lines(path):
        given = line.get("passages")
        if not isinstance(line.get("id"), str) or not isinstance(given, list):
            raise DataError(f"{path.name}, line {number}: not a pool", hint=_POOL_HINT)
        found[line["id"]] = [_passage(one, f"{path.name}, line {number}") for one in given]
    return found


def _passage(given: Any, where: str) -> Passage:
    fits = isinstance(given, dict) and isinstance(given.get("id"), str) and isinstance(given.get("text"), str)
    if not fits or not isinstance(given.get("score"), int | float | None):
        raise DataError(f"{where}: a passage lacks id or text", hint=_POOL_HINT)
    return Passage(id=given["id"], text=given["text"], score=given.get("score"))


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidValueError(f"--ranks: {text!r} is no list of numbers", hint="e.g. 1,25,50,100") from None

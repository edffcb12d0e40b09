"""`ragguard rerank augment`: more questions from few, by rules or by a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ragguard.cli.output import emit
from ragguard.cli.rerank_options import JsonOption
from ragguard.corpus.progress import ProgressBar


def augment(
    source: Annotated[
        Path, typer.Option("--input", help='JSONL: {"id","question","answers":[...],"cluster"?,"split"?}.')
    ],
    output: Annotated[Path, typer.Option(help="File for the new questions, JSON lines.")],
    strategies: Annotated[
        str, typer.Option(help="Of rephrase, complexity, decomposition, constraint, sparql.")
    ] = "rephrase",
    llm: Annotated[
        str | None, typer.Option(help="smollm2 or a registered generator; none: rephrasing by rules alone.")
    ] = None,
    aligner: Annotated[
        str, typer.Option(help="Drops what contradicts its source: a registered aligner, or none.")
    ] = "alignment",
    as_json: JsonOption = False,
) -> None:
    """Make more questions; each stays in the split and cluster of its source."""
    from ragguard.errors import UnknownNameError
    from ragguard.preference.augment import augment as run
    from ragguard.preference.augment_prompts import Strategy
    from ragguard.preference.records import read_questions, write_lines

    wanted = [part.strip() for part in strategies.split(",")]
    known = get_args(Strategy)
    if unknown := sorted(set(wanted) - set(known)):
        raise UnknownNameError(f"no strategy named {', '.join(unknown)}", hint=f"of {', '.join(known)}")
    questions = read_questions(source)
    with ProgressBar() as progress:
        made = run(
            questions,
            _completer(llm),
            strategies=wanted,  # type: ignore[arg-type]
            aligner=_aligner(aligner),
            progress=progress,
        )
    write_lines(output, (question.model_dump_json() for question in made.questions))
    unlabelled = sum(question.needs_probe for question in made.questions)
    emit(
        {
            "questions": str(output),
            "sources": len(questions),
            "made": len(made.questions),
            "needs_probe": unlabelled,
            "dropped": dict(made.dropped),
            "calls": made.calls,
        },
        as_json=as_json,
        title="augmented",
    )


def _completer(name: str | None) -> Any:
    if name is None:
        return None
    from ragguard import registry
    from ragguard.errors import ConfigurationError
    from ragguard.models.batched import smollm2_completer

    if name == "smollm2":
        return smollm2_completer(max_new_tokens=96)
    made = registry.create("ragguard.generators", name)
    if not callable(getattr(made, "complete", None)):
        raise ConfigurationError(
            f"generator {name!r} takes no plain prompt", hint="give one with a `complete(prompt)` method"
        )
    return made.complete


def _aligner(name: str) -> Any:
    if name == "none":
        return None
    from ragguard import registry

    return registry.create("ragguard.aligners", name)

"""`ragguard questions`: write calibration questions with a language model, and validate a question set."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ragguard.cli.output import emit
from ragguard.corpus.progress import ProgressBar
from ragguard.errors import ConfigurationError

app = typer.Typer(help="Write and validate calibration questions.", no_args_is_help=True)


@app.command("generate")
def generate(
    corpus: Annotated[list[Path], typer.Option(help="Folder or file; repeatable.")],
    out: Annotated[Path, typer.Option(help="JSONL to append to; a second run resumes it.")],
    llm: Annotated[
        str,
        typer.Option(help="smollm2, or package.module:callable taking a prompt, or an object with invoke."),
    ] = "smollm2",
    checker: Annotated[
        str | None, typer.Option(help="Who checks answerability; default: the same model.")
    ] = None,
    count: Annotated[int, typer.Option(help="Questions wanted.")] = 100,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a passage, as calibrated.")] = 200,
    max_overlap: Annotated[
        float, typer.Option(help="Most of its passage's words a question may repeat.")
    ] = 0.8,
    budget: Annotated[int | None, typer.Option(help="Most calls of the model.")] = None,
    seed: Annotated[int, typer.Option(help="Of the passages drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Ask a language model for questions that passages of the corpus answer."""
    from ragguard.corpus.generation import generate_questions

    with ProgressBar() as progress:
        report = generate_questions(
            passages_of(corpus, max_tokens),
            language_model(llm),
            count=count,
            path=out,
            seed=seed,
            max_overlap=max_overlap,
            checker=None if checker is None else language_model(checker),
            generator=llm,
            budget=budget,
            progress=progress,
        )
    emit(report.model_dump(mode="json"), as_json=as_json, title=f"questions in {out}")


@app.command("validate")
def validate(
    questions: Annotated[Path, typer.Argument(help="JSONL question set.")],
    corpus: Annotated[list[Path], typer.Option(help="Folder or file; repeatable.")],
    max_tokens: Annotated[int, typer.Option(help="Most tokens of a passage, as calibrated.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Check ids, answers, duplicates and how much of their passages' words the questions repeat."""
    from ragguard.corpus.question_validation import validate_questions
    from ragguard.corpus.questions import load_questions

    report = validate_questions(load_questions(questions), passages_of(corpus, max_tokens))
    emit(report.to_dict(), as_json=as_json, title=str(questions))


def passages_of(corpus: list[Path], max_tokens: int) -> list[Any]:
    """Return the passages that calibration would cut from a corpus."""
    from ragguard.corpus.chunk import chunk_documents
    from ragguard.corpus.load import load_corpus
    from ragguard.models.embedders import load_embedder

    return chunk_documents(load_corpus(corpus), load_embedder("bundled"), max_tokens=max_tokens)


def language_model(name: str) -> Callable[[str], str]:
    """Return a prompt -> reply callable: "smollm2", or what `package.module:name` names.

    Raises:
        ConfigurationError: it cannot be imported.
    """
    if name == "smollm2":
        from ragguard.models.smollm import SmolLM2Generator

        return SmolLM2Generator(max_new_tokens=120).complete
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[str], str] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"the language model {name!r} cannot be imported", hint="smollm2, or package.module:callable"
        ) from error
    return found

"""Which model scores: the options that the commands of `ragguard align` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragguard.errors import ConfigurationError

if TYPE_CHECKING:
    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.models.pair_engine import PairEngine


class BackendName(StrEnum):
    """What runs the model."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"
    onnxruntime = "onnxruntime"


class DtypeName(StrEnum):
    """Precision of the model while it runs."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


ModelOption = Annotated[str, typer.Option("--model", help="bundled, a model's folder, or a .ckpt file.")]
TokenizerOption = Annotated[
    Path | None, typer.Option("--tokenizer", help="tokenizer.json for a .ckpt without one beside it.")
]
BackendOption = Annotated[BackendName, typer.Option("--backend", help="What runs the model.")]
DtypeOption = Annotated[DtypeName, typer.Option("--dtype", help="Precision it runs in.")]
CombinerOption = Annotated[
    Path | None, typer.Option("--combiner", help="combiner.json to use instead of the model's own.")
]
ThresholdOption = Annotated[
    float | None, typer.Option("--threshold", help="Score in [0, 1) above which a claim is supported.")
]


def loaded_engine(model: str, tokenizer: Path | None, backend: BackendName, dtype: DtypeName) -> PairEngine:
    """Return the engine of a model, its weights loaded: what is wrong with it is said before any item is read.

    Raises:
        ConfigurationError: model, tokenizer, back end or dtype cannot be used.
        UnreadableFileError: the weights are missing or altered.
    """
    from ragguard.models.pair_checkpoint import SUFFIX
    from ragguard.models.pair_engine import PairEngine
    from ragguard.models.pair_model import load_pair_model

    if tokenizer is not None and Path(model).suffix != SUFFIX:
        raise ConfigurationError("--tokenizer is for a .ckpt file", hint="a model's folder holds its own")
    source = model if tokenizer is None else load_pair_model(model, tokenizer=tokenizer)
    engine = PairEngine(source, backend=backend.value, dtype=dtype.value)
    engine.warm_up()
    return engine


def loaded_aligner(
    engine: PairEngine, model: str, *, combiner: Path | None = None, threshold: float | None = None
) -> AlignmentAligner:
    """Return the aligner around an engine, with a combiner of one's own where one is given.

    Raises:
        InvalidValueError: the threshold is out of range.
        UnreadableFileError: the combiner is damaged, or made for other features.
    """
    from ragguard.alignment.aligner import AlignmentAligner
    from ragguard.alignment.combiner import load_combiner

    own = None if combiner is None else load_combiner(combiner)
    aligner = AlignmentAligner(model, engine=engine, combiner=own, threshold=threshold)
    aligner.warm_up()
    return aligner

"""The front door: calibrate once, load anywhere, check turns, answer questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragguard import protocols
from ragguard.artifacts import qualified_name
from ragguard.build import build_generator, build_pipeline
from ragguard.config import Settings
from ragguard.conformal.calibrate import Provided, calibrate
from ragguard.conformal.calibrate import Settings as Promise
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.evaluate import evaluate, outcome
from ragguard.conformal.guard import ConformalRetrievalGuard
from ragguard.conformal.observations import Observation
from ragguard.corpus.folder import QUESTIONS_FILE, CorpusFolder
from ragguard.corpus.questions import write_questions
from ragguard.corpus.retrievers import IndexRetriever, as_retriever
from ragguard.errors import (
    CalibrationMismatchError,
    ConfigurationError,
    InvalidValueError,
)
from ragguard.evaluation.asked import Questions, as_questions, resolved
from ragguard.evaluation.corpus_watch import CorpusWatch
from ragguard.evaluation.observe import Fields, TokenCounter, observe_questions
from ragguard.evaluation.upstream import recipes_of, upstream_fingerprints, with_reranker
from ragguard.judgement import CUT, RERANKED
from ragguard.models.generators import as_generator
from ragguard.pipeline import Parts, Step, as_messages
from ragguard.types import Message, Mode, OnError, Report, Stage, Turn

History = Iterable[Message | tuple[str, str]]


class Guard:
    """A calibrated guard around a retriever and a generator.

    Make one with `Guard.calibrate` or `Guard.load`. It is safe to share between
    threads and event loops.

    Args:
        calibration: of the cut; None serves without a retrieval guarantee.
        retriever: called by `answer`, and by `check` for a turn without passages.
        generator: (question, passages) -> answer, or a LangChain chat model; overrides
            the one of `settings`.
        rewriter: (question, history) -> standalone question, for follow-ups.
        guards: instead of those of `settings`.
        settings: how to serve.
        corpus: the folder behind an index retriever, if that is what is served.
        weight: a question's likelihood ratio, for a weighted calibration.
        observers: told of every verdict and report.

    Raises:
        CalibrationMismatchError: the retriever is not the one calibrated, or a guard
            inside the calibrated map is missing.
    """

    def __init__(
        self,
        calibration: Calibration | None,
        retriever: Any = None,
        *,
        generator: Any = None,
        rewriter: protocols.Rewriter | None = None,
        guards: Sequence[protocols.TurnGuard | Step] | None = None,
        settings: Settings | None = None,
        corpus: CorpusFolder | None = None,
        weight: Callable[[str], float] | None = None,
        observers: Sequence[protocols.Observer] = (),
    ) -> None:
        self.calibration = calibration
        self.settings = settings or Settings()
        self.corpus = corpus
        self.retriever: protocols.Retriever | None = None if retriever is None else as_retriever(retriever)
        self._weight = weight
        change = CorpusWatch(calibration, self.retriever)
        self.pipeline = build_pipeline(
            self.settings, calibration, guards=guards, change=change, weight=weight, observers=observers
        )
        if calibration is not None:
            _require_upstream(calibration, self.pipeline.steps)
            self._verify(calibration, rewriter)
            if self.retriever is not None:
                change()  # refuses now what it would refuse at the first turn
        generates = build_generator(self.settings) if generator is None else as_generator(generator)
        self._parts = Parts(self._serving_retriever(), generates, rewriter)

    @classmethod
    def calibrate(
        cls,
        retriever: Any = None,
        questions: Questions = (),
        *,
        promise: Promise | None = None,
        embedder: protocols.Embedder | None = None,
        rewriter: protocols.Rewriter | None = None,
        guards: Sequence[protocols.TurnGuard | Step] | None = None,
        fields: Fields | None = None,
        weight: Callable[[str], float] | None = None,
        corpus: CorpusFolder | None = None,
        progress: protocols.Progress | None = None,
        serve: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Guard:
        """Return a guard calibrated for this retriever on these questions.

        Args:
            retriever: any callable from a question to results (see `as_passage` for the
                shapes accepted), a LangChain retriever, or an `IndexRetriever`.
            questions: a JSONL path, or `Question`s or mappings with "id", "question"
                and "relevant". Questions that never reach their relevant passage count as misses.
            promise: alpha, target, score and so on; or give them as keyword `options`.
            embedder: scores the results of a retriever that gives no score.
            rewriter: recorded in the fingerprint; questions are calibrated as given.
            guards: as they will serve. Those that judge passages before the cut are
                inside the calibrated map. The score "reranker" adds the bundled reranker
                where none is given.
            fields: which question fields hold group and cluster, and what `relevant` names.
            weight: likelihood ratio of a question, with `weighting` in the promise.
            corpus: the folder behind an `IndexRetriever`.
            progress: told how far it is.
            serve: further keyword arguments of `Guard`, e.g. generator or settings.
            options: fields of the promise: alpha, delta, target, score, cap, ...

        Raises:
            NoValidThresholdError: no threshold meets the target on these questions.
            QuestionSetError: the question set cannot be used.
        """
        if retriever is None and corpus is None:
            raise ConfigurationError("nothing to calibrate: no retriever", hint="pass retriever=callable")
        promise = _promise(promise, options)
        fields = fields or Fields()
        loaded = as_questions(questions)
        fields.require(loaded)
        chosen = corpus.retriever() if retriever is None and corpus is not None else retriever
        served = as_retriever(chosen, embedder=embedder)
        upstream = _upstream(with_reranker(promise, retriever, guards))
        observations = list(
            observe_questions(
                resolved(loaded, served, corpus, scope=fields.scope),
                served,
                fields=fields,
                upstream=upstream,
                weight=weight,
                progress=progress,
            )
        )
        provided = Provided(
            fingerprints={**_fingerprints(served, rewriter), **upstream_fingerprints(upstream)},
            informative={
                "promise": _recorded(promise),
                "fields": fields.recorded(),
                **recipes_of(upstream),
            },
            passages=_content(served),
            depth=getattr(served, "depth", None),
            upstream=tuple(g.name for g in upstream),
        )
        calibration = calibrate(observations, promise, provided=provided)
        if corpus is not None:
            calibration.save(corpus.path)
            write_questions(corpus.path / QUESTIONS_FILE, loaded)
        return cls(
            calibration,
            served,
            rewriter=rewriter,
            guards=guards,
            corpus=corpus,
            weight=weight,
            **dict(serve or {}),
        )

    @classmethod
    def load(cls, folder: str | Path, retriever: Any = None, **serve: Any) -> Guard:
        """Return the guard calibrated in a folder.

        Args:
            folder: where `save`, or `ragguard calibrate --out`, wrote it.
            retriever: the one calibrated; None opens the index in the folder.
            serve: further keyword arguments of `Guard`; `embedder` for an index built
                with one that cannot be named in a file.

        Raises:
            ArtifactError: the calibration is unreadable, or made for other settings.
            IndexFileError: the index in the folder is unreadable.
        """
        embedder = serve.pop("embedder", None)
        calibration = Calibration.load(folder)
        if retriever is not None:
            return cls(calibration, as_retriever(retriever, embedder=embedder), **serve)
        corpus = CorpusFolder.open(folder, embedder=embedder)
        return cls(calibration, corpus.retriever(calibration.artifact.depth), corpus=corpus, **serve)

    def save(self, folder: str | Path) -> Path:
        """Write the calibration into a folder, replacing one there in a single step; return its path."""
        if self.calibration is None:
            raise ConfigurationError(
                "there is no calibration to save", hint="make the guard with Guard.calibrate"
            )
        return self.calibration.save(folder)

    def check(self, turn: Turn) -> Report:
        """Judge a turn; passages are retrieved first if it has none and the guard has a retriever.

        Raises:
            InvalidValueError: the question is empty.
        """
        return self.pipeline.run(*self._given(turn))

    async def acheck(self, turn: Turn) -> Report:
        """`check`, without blocking the event loop."""
        return await self.pipeline.arun(*self._given(turn))

    def retrieve(self, question: str, **turn: Any) -> Report:
        """Return a report whose passages are those kept for a question; nothing is generated."""
        return self.check(Turn(question=question, **turn))

    def answer(
        self, question: str, *, history: History = (), metadata: Mapping[str, Any] | None = None
    ) -> Report:
        """Retrieve, cut, generate and judge; show `report.text`.

        Args:
            question: as the user asked it.
            history: earlier messages, oldest first; used by the rewriter.
            metadata: of the turn; "group" selects a Mondrian group.

        Raises:
            InvalidValueError: the question is empty.
            ConfigurationError: the guard has no retriever or no generator.
        """
        return self.pipeline.run(*self._asked(question, history, metadata))

    async def aanswer(
        self, question: str, *, history: History = (), metadata: Mapping[str, Any] | None = None
    ) -> Report:
        """`answer`, without blocking the event loop."""
        return await self.pipeline.arun(*self._asked(question, history, metadata))

    def evaluate(
        self,
        questions: Questions,
        *,
        fields: Fields | None = None,
        confidence: float = 0.95,
        by_cluster: bool = False,
        splits: int = 0,
        progress: protocols.Progress | None = None,
    ) -> dict[str, Any]:
        """Return measured coverage with its interval, and the cost, on held-out questions.

        See `ragguard.conformal.evaluate.evaluate` for the keys; with `splits`, "comparison"
        holds every score over so many random splits (`compare_scores`).
        """
        if self.calibration is None or self.retriever is None:
            raise ConfigurationError("evaluation needs a calibration and a retriever")
        calibration = self.calibration
        fields = fields or Fields.restored(calibration.artifact.informative.get("fields"))
        loaded = as_questions(questions)
        embedder = getattr(self.retriever, "embedder", None)
        observed = observe_questions(
            resolved(loaded, self.retriever, self.corpus, scope=fields.scope),
            self.retriever,
            fields=fields,
            upstream=[s.guard for s in self.pipeline.steps if s.guard.name in calibration.artifact.upstream],
            tokens=None if embedder is None else TokenCounter(embedder),
            counted=lambda o: _kept(o, calibration),
            weight=self._weight,
            progress=progress,
        )
        return evaluate(
            list(observed), calibration, confidence=confidence, by_cluster=by_cluster, splits=splits
        )

    def _verify(self, calibration: Calibration, rewriter: protocols.Rewriter | None) -> None:
        """Compare everything that serves with what was calibrated; what is not here is not compared."""
        before = [s.guard for s in self.pipeline.steps if s.guard.name in calibration.artifact.upstream]
        live = upstream_fingerprints(before)
        if self.retriever is not None:
            calibration.verify({**_fingerprints(self.retriever, rewriter), **live})
        else:
            made = calibration.artifact.fingerprints
            calibration.verify({**{k: v for k, v in made.items() if k != "upstream"}, **live})

    def _serving_retriever(self) -> protocols.Retriever | None:
        """The retriever, reading only what the cut can keep where nothing else looks at the passages."""
        calibration, retriever = self.calibration, self.retriever
        if calibration is None or not isinstance(retriever, IndexRetriever):
            return retriever
        cut = self.settings.retrieval
        always = cut.mode is Mode.ENFORCE and cut.on_error is not OnError.PASS
        first = next(s for s in self.pipeline.steps if Stage.PASSAGES in s.guard.stages)
        if not always or not isinstance(first.guard, ConformalRetrievalGuard):
            return retriever
        return retriever.reading(calibration.most_kept)

    def _given(self, turn: Turn) -> tuple[Turn, Parts]:
        return _unmarked(turn), Parts(retriever=self._parts.retriever, rewriter=self._parts.rewriter)

    def _asked(
        self, question: str, history: History, metadata: Mapping[str, Any] | None
    ) -> tuple[Turn, Parts]:
        if self._parts.retriever is None or self._parts.generator is None:
            raise ConfigurationError(
                "answer needs a retriever and a generator",
                hint="pass generator=..., or use check on your own turn",
            )
        if not isinstance(question, str):
            raise InvalidValueError(f"a question is a string, got {type(question).__name__}")
        turn = Turn(question=question, history=as_messages(history), metadata=dict(metadata or {}))
        return _unmarked(turn), self._parts


def _unmarked(turn: Turn) -> Turn:
    """The turn without the marks of an earlier check, unless it brings the passages that were checked."""
    # Metadata may come from a client: passages still to be retrieved cannot have been scored or cut.
    if turn.passages is not None or not {CUT, RERANKED} & turn.metadata.keys():
        return turn
    return turn.replace(metadata={k: v for k, v in turn.metadata.items() if k not in (CUT, RERANKED)})


def _require_upstream(calibration: Calibration, steps: Sequence[Step]) -> None:
    """Refuse to serve without a guard that the thresholds were calibrated behind."""
    enforced = {s.guard.name for s in steps if s.mode is Mode.ENFORCE}
    missing = [name for name in calibration.artifact.upstream if name not in enforced]
    if missing:
        raise CalibrationMismatchError(
            f"this calibration was made behind the guards {missing}, which do not serve here",
            hint="pass guards=[...] with the guards calibrated, or calibrate again",
            details={"missing": missing},
        )


def _kept(observation: Observation, calibration: Calibration) -> int:
    known = calibration.category(observation.group) is not None
    return outcome(observation, calibration).passages if known else 0


def _promise(promise: Promise | None, options: Mapping[str, Any]) -> Promise:
    if promise is not None and options:
        raise ConfigurationError(f"give either a promise or options, got both: {sorted(options)}")
    unknown = set(options) - set(Promise.__dataclass_fields__)
    if unknown:
        raise ConfigurationError(
            f"unknown options {sorted(unknown)}", hint=f"known: {', '.join(Promise.__dataclass_fields__)}"
        )
    return promise or Promise(**options)


def _recorded(promise: Promise) -> dict[str, Any]:
    return {name: getattr(promise, name) for name in Promise.__dataclass_fields__}


def _upstream(guards: Sequence[protocols.TurnGuard | Step] | None) -> list[protocols.TurnGuard]:
    """The guards that judge passages: calibration runs through them, so they come before the cut.

    One in shadow will drop nothing when serving, so it drops nothing here.
    """
    steps = [g if isinstance(g, Step) else Step(g) for g in guards or ()]
    return [s.guard for s in steps if Stage.PASSAGES in s.guard.stages and s.mode is Mode.ENFORCE]


def _fingerprints(retriever: protocols.Retriever, rewriter: protocols.Rewriter | None) -> dict[str, Any]:
    own = getattr(retriever, "fingerprint", None)
    return {
        **(dict(own()) if callable(own) else {}),
        "rewriter": rewriter_fingerprint(rewriter),
    }


def rewriter_fingerprint(rewriter: protocols.Rewriter | None) -> str | None:
    """Return what a calibration records of the rewriter of follow-ups; None where there is none."""
    own = getattr(rewriter, "fingerprint", None)
    if callable(own):
        return str(dict(own()))
    return None if rewriter is None else qualified_name(rewriter)


def _content(retriever: protocols.Retriever) -> Any:
    return retriever.index.content_hashes() if isinstance(retriever, IndexRetriever) else None

"""The contract of NeMo Guardrails' fact-checking server: evidence and claim in, one score out."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from ragguard.alignment.abstention import find_abstentions, remaining_claims
from ragguard.alignment.aligner import AlignmentAligner
from ragguard.alignment.citations import is_supported
from ragguard.errors import ConfigurationError
from ragguard.protocols import Aligner
from ragguard.server.door import REQUEST_ID, Door, Limits, Turned, bare_app, request_id
from ragguard.server.messages import parsed
from ragguard.server.together import Together
from ragguard.types import Claim, Evidence, Passage

PATHS = ("/alignscore_base", "/alignscore_large")
Scale = Literal["centred", "raw"]
OnFailure = Literal["zero", "status"]

_LOG = logging.getLogger("ragguard.server")
_CUT = 0.5
"""Below it NeMo Guardrails blocks; the number is not in its configuration."""
_JUST_BELOW = math.nextafter(_CUT, 0.0)


class _Asked(BaseModel):
    """The rail sends one string or a list, depending on where its chunks come from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    evidence: str | list[str]
    claim: str

    @property
    def passages(self) -> list[Passage]:
        texts = [self.evidence] if isinstance(self.evidence, str) else self.evidence
        return [Passage(id=str(place), text=text) for place, text in enumerate(texts) if text.strip()]


@dataclass(frozen=True)
class _Scorer:
    """Answers in, one number each: that of its least supported claim."""

    aligner: Aligner
    scale: Scale

    def scores(self, asked: Sequence[_Asked]) -> list[float]:
        claims = [remaining_claims(one.claim) for one in asked]
        passages = [one.passages for one in asked]
        answers = [(c, p) for c, p in zip(claims, passages, strict=True) if c and p]
        found = iter(self._align(answers) if answers else ())
        return [
            self._lowest(next(found)) if c and p else _unread(one.claim, c)
            for one, c, p in zip(asked, claims, passages, strict=True)
        ]

    def _align(self, answers: Sequence[tuple[Sequence[Claim], Sequence[Passage]]]) -> list[list[Evidence]]:
        if not isinstance(self.aligner, AlignmentAligner):
            return [self.aligner.align(claims, passages) for claims, passages in answers]
        readings = self.aligner.read_many([(claims, passages, "") for claims, passages in answers])
        return [self.aligner.judge(r, c, p) for r, (c, p) in zip(readings, answers, strict=True)]

    def _lowest(self, evidence: Sequence[Evidence]) -> float:
        threshold = float(getattr(self.aligner, "default_threshold"))  # noqa: B009 - of no protocol
        return min((self._number(item, threshold) for item in evidence), default=0.0)

    def _number(self, item: Evidence, threshold: float) -> float:
        score = 0.0 if item.score is None else item.score
        if self.scale == "raw":
            return score
        supported = is_supported(item, threshold)
        if not supported:
            return min(_CUT * score / threshold, _JUST_BELOW) if threshold else 0.0
        return _CUT + _CUT * (score - threshold) / (1 - threshold)


def create_alignscore_app(
    aligner: Aligner | None = None,
    *,
    api_key: str | None = None,
    scale: Scale = "centred",
    on_failure: OnFailure = "zero",
    limits: Limits | None = None,
) -> FastAPI:
    """Return an ASGI app that answers POST /alignscore_base and /alignscore_large.

    {"evidence": text or texts, "claim": text} becomes {"alignscore": number in [0, 1]}: that of
    the claim's least supported statement. An answer that only abstains scores 1, one with
    nothing to check or nothing to hold it against 0. Both paths use the same aligner;
    requests that come while it is busy are scored as one batch, on a worker.

    Args:
        aligner: the trained one by default, whose weights load at the first request.
        api_key: what the header `x-api-key` must say; the rail sends none.
        scale: the rail blocks below 0.5. "centred" moves the aligner's own threshold there, and
            keeps the order; "raw" gives the aligner's score as it is.
        on_failure: the rail passes an answer whenever the status is not 200 (unless it is told to
            ask a model instead). So "zero" answers 200 and 0 with an "error" beside it; "status"
            answers as HTTP has it, for clients that look.
        limits: of the app.

    Raises:
        ConfigurationError: an option is unknown, or the aligner has no threshold of its own.
        InvalidValueError: a limit is out of range.
    """
    if scale not in get_args(Scale) or on_failure not in get_args(OnFailure):
        raise ConfigurationError("scale is centred or raw, on_failure is zero or status")
    chosen = AlignmentAligner() if aligner is None else aligner
    if not hasattr(type(chosen), "default_threshold") and not hasattr(chosen, "default_threshold"):
        raise ConfigurationError("this aligner has no default threshold")
    together = Together(_Scorer(chosen, scale).scores)
    door = Door(api_key, limits or Limits())
    app = bare_app("ragguard alignscore")

    async def work(body: bytes) -> dict[str, Any]:
        return {"alignscore": await together.score(parsed(_Asked, body))}

    async def score(request: Request) -> JSONResponse:
        if on_failure == "status":
            return await door.admit(request, work)
        name = request_id(request.headers.get(REQUEST_ID))
        try:
            reply = await door.enter(request, work)
        except Turned as no:
            _LOG.warning("request %s scored 0: %s", name, no.code)
            reply = {"alignscore": 0.0, "error": {"code": no.code, "message": no.message}}
        return JSONResponse(reply, headers={REQUEST_ID: name})

    for path in PATHS:
        app.add_api_route(path, score, methods=["POST"])
    return app


def _unread(answer: str, claims: Sequence[Claim]) -> float:
    """An abstention passes; a claim with nothing to hold it against does not, nor what claims nothing."""
    return 1.0 if not claims and find_abstentions(answer) else 0.0

"""`ragguard serve`: the routes that gateways call, on one address."""

from __future__ import annotations

import ipaddress
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ragguard.cli.serving import loaded_guard
from ragguard.config import Settings, load_settings
from ragguard.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ragguard.guard import Guard

KEY = "RAGGUARD_API_KEY"


class NoEvidence(StrEnum):
    """What becomes of an answer that came without evidence."""

    block = "block"
    judge = "judge"
    retrieve = "retrieve"
    skip = "pass"


class StreamMode(StrEnum):
    """How much of a stream may be shown before its end."""

    withhold = "withhold"
    sentence = "sentence"


class Refusals(StrEnum):
    """How a refused answer comes back."""

    block = "block"
    text = "text"


def serve(
    folder: Annotated[
        Path | None, typer.Argument(help="Calibrated folder; without one answers alone are judged.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    config: Annotated[Path | None, typer.Option(help="Settings file, YAML or TOML.")] = None,
    no_evidence: Annotated[
        NoEvidence, typer.Option(help="An answer without evidence: block it, or another way.")
    ] = NoEvidence.block,
    mode: Annotated[
        StreamMode, typer.Option(help="withhold: a stream is released whole; sentence: as it is verified.")
    ] = StreamMode.withhold,
    refusals: Annotated[
        Refusals | None, typer.Option(help="block: an error there; text: the guard's message as the answer.")
    ] = None,
    nemo: Annotated[
        bool, typer.Option("--nemo", help="Serve /alignscore_base and /alignscore_large too, without a key.")
    ] = False,
) -> None:
    """Serve LiteLLM's guardrail API; the key that clients must send is read from RAGGUARD_API_KEY."""
    key = os.environ.get(KEY) or None
    if key is None and not _is_loopback(host):
        raise ConfigurationError(f"serving on {host!r} without a key", hint=f"set {KEY}")
    guard = served_guard(folder, config)
    app = served_app(guard, key=key, no_evidence=no_evidence, mode=mode, refusals=refusals, nemo=nemo)
    if key is None:
        Console(stderr=True).print(f"{KEY} is not set: every program on this machine is served.")
    try:
        import uvicorn
    except ImportError as error:
        raise MissingDependencyError(
            "uvicorn is not installed", hint='pip install "ragguard[server]"'
        ) from error
    # One worker: evidence is remembered in the process, and a scorer uses every core.
    uvicorn.run(app, host=host, port=port, log_level="info", access_log=False)


def served_guard(folder: Path | None, config: Path | None) -> Guard:
    """Return the guard of a calibrated folder, or one that judges answers without a calibration."""
    from ragguard.guard import Guard

    if folder is not None:
        return loaded_guard(folder, config)
    return Guard(None, settings=load_settings(config) if config is not None else Settings())


def served_app(
    guard: Guard,
    *,
    key: str | None,
    no_evidence: NoEvidence,
    mode: StreamMode,
    refusals: Refusals | None,
    nemo: bool,
) -> FastAPI:
    """Return the app that is served: the guardrail's, with the other routes mounted behind it."""
    from ragguard.server import create_alignscore_app, create_guardrail_app

    app = create_guardrail_app(
        guard,
        api_key=key,
        no_evidence=no_evidence.value,
        mode=mode.value,
        refusals=None if refusals is None else refusals.value,
    )
    if nemo:
        app.mount("/", create_alignscore_app())
    return app


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

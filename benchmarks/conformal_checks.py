"""What the figures of the conformal benchmark must show; each check names its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.splits_report import TOLERANCE, Row

RATIO = 0.40


def checks(reports: Mapping[str, Any]) -> list[Row]:
    """Return one row a check: what is asked, what was measured, and whether it passed."""
    rows = [_law(reports), *_recall(reports), *_pac(reports)]
    if "squad" in reports:
        squad = reports["squad"]
        rows += [_ratio(squad), _cap(squad["cap"][0]), *_small(squad)]
    return rows


def find(report: Mapping[str, Any], score: str, alpha: float, n: int, part: str = "cells") -> Row | None:
    """Return the row of that score, level and size that was run, or None."""
    wanted = {"score": score, "alpha": alpha, "n": n}
    rows: list[Row] = report.get(part, [])
    return next((r for r in rows if wanted.items() <= r.items() and "skipped" not in r), None)


def _law(reports: Mapping[str, Any]) -> Row:
    run = [c for c in _run(reports) if "expected" in c]
    below = [_named(c) for c in run if c["verdict"] == "below"]
    return {
        "check": f"mean coverage is k/(n + 1) within {TOLERANCE:g} standard errors, or above it where scores tie",
        "cells": len(run),
        "within": sum(c["verdict"] == "within" for c in run),
        "above": sum(c["verdict"] == "above" for c in run),
        "below": below,
        "passed": not below,
    }


def _recall(reports: Mapping[str, Any]) -> Iterator[Row]:
    run = [c for c in _run(reports) if c.get("target") == "recall" and c["score"] != "published"]
    if run:
        above = [_named(c) for c in run if c["verdict"] != "holds"]
        yield {
            "check": f"mean risk (1 - recall) is at most alpha, within {TOLERANCE:g} standard errors",
            "cells": len(run),
            "above": above,
            "passed": not above,
        }


def _pac(reports: Mapping[str, Any]) -> Iterator[Row]:
    run = _run(reports, "pac")
    if run:
        shares = [float(r["above_alpha"] if "above_alpha" in r else r["below_expected"]) for r in run]
        slack = [TOLERANCE * math.sqrt(r["delta"] * (1 - r["delta"]) / r["splits"]) for r in run]
        over = [_named(r) for r, x, s in zip(run, shares, slack, strict=True) if x > r["delta"] + s]
        yield {
            "check": f"calibration sets that miss the target: at most delta, within {TOLERANCE:g} standard errors",
            "cells": len(run),
            "largest_share": max(shares),
            "above": over,
            "passed": not over,
        }


def _run(reports: Mapping[str, Any], part: str = "cells") -> list[Row]:
    rows = [{**c, "set": name} for name, r in reports.items() for c in r.get(part, [])]
    return [row for row in rows if "skipped" not in row]


def _named(row: Row) -> str:
    return f"{row['set']} {row['score']} alpha={row['alpha']:g} n={row['n']}"


def _ratio(squad: Mapping[str, Any]) -> Row:
    largest = max(c["n"] for c in squad["cells"] if "skipped" not in c)
    ours, cosine = (find(squad, name, 0.1, largest) for name in ("auto", "cosine"))
    if ours is None or cosine is None:
        raise LookupError("a score was not run at the largest size")
    ratio = ours["mean_passages"] / cosine["mean_passages"]
    return {
        "check": f"SQuAD, alpha 0.1: the chosen score keeps at most {RATIO:g} of what 1 - cosine keeps",
        "n": largest,
        "chosen": squad["chosen"]["0.1"]["auto"]["score"],
        "mean_passages": ours["mean_passages"],
        "mean_passages_cosine": cosine["mean_passages"],
        "ratio": ratio,
        "passed": ratio <= RATIO,
    }


def _cap(cap: Row) -> Row:
    asked = "SQuAD, alpha 0.1 through a cap of 5 passages is refused as out of reach"
    return {"check": asked, **cap, "passed": cap["raised"] == "TargetUnattainableError"}


def _small(squad: Mapping[str, Any]) -> Iterator[Row]:
    published, ours = (find(squad, name, 0.1, 20) for name in ("published", "cosine"))
    if published is not None and ours is not None:
        yield {
            "check": "SQuAD, alpha 0.1, n = 20, 1 - cosine: the published rule under-covers, ours does not",
            "published": published["coverage"],
            "published_standard_error": published["standard_error"],
            "published_expected_uniform": published["expected_uniform"],
            "ours": ours["coverage"],
            "ours_standard_error": ours["standard_error"],
            "ours_expected": ours["expected"],
            "passed": published["verdict"] == "under"
            and ours["coverage"] >= 0.9 - 4 * ours["standard_error"],
        }

"""The conformal benchmark's report as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.splits_report import Row

SCORES = ("published", "cosine", "gap", "ratio", "rank", "softmax", "softmax_tuned", "auto")
LABELS = {
    "published": "published rule (1 - cosine)",
    "cosine": "1 - cosine",
    "softmax": "softmax, T = 0.03",
    "softmax_tuned": "softmax, T chosen",
    "auto": "score chosen",
}
TITLES = {"squad": "SQuAD 2.0", "covid_qa": "COVID-QA", "policyqa": "PolicyQA", "hotpotqa": "HotpotQA"} | {
    "musique": "MuSiQue",
    "hotpotqa_2wiki": "HotpotQA, 2Wiki distractors",
    "musique_2wiki": "MuSiQue, 2Wiki distractors",
    "cranfield": "Cranfield",
}


def markdown(document: Mapping[str, Any]) -> str:
    """Return every table, or the reason why nothing was measured."""
    if "skipped" in document:
        return f"{document['skipped']}\n"
    lines: list[str] = ["### Checks", "", *_checks(document["checks"])]
    for name, report in document["datasets"].items():
        lines += ["", f"### {TITLES[name]}", "", _about(report)]
        recall = report["target"] == "recall"
        for alpha in dict.fromkeys(c["alpha"] for c in report["cells"]):
            rows = [c for c in report["cells"] if c["alpha"] == alpha]
            lines += ["", f"alpha = {alpha:g}", "", *_cells(rows, _risk if recall else _coverage)]
        lines += [*_part(report, "pac", _pac_recall if recall else _pac), *_part(report, "shift", _shift)]
        lines += _part(report, "whole", _whole)
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _checks(rows: Sequence[Row]) -> list[str]:
    def shown(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def numbers(row: Row) -> str:
        return ", ".join(f"{k} {shown(v)}" for k, v in row.items() if k not in ("check", "passed", "message"))

    return table(
        ["check", "measured", "passed"],
        ([r["check"], numbers(r), "yes" if r["passed"] else "NO"] for r in rows),
    )


def _about(report: Mapping[str, Any]) -> str:
    depth = report["depth"]
    smallest, largest = depth["smallest"], depth["largest"]
    ranked = f"{largest}" if smallest == largest else f"{smallest} to {largest}"
    return (
        f"Target: {report['target']}. Relevant: {report['relevant']}. {report['questions']} questions over "
        f"{report['passages']} passages, {ranked} ranked for each question (all there are). "
        f"{report['tuning_questions']} questions chose the scores; splits are of the other {report['pool']}. "
        f"Chosen: {_chosen(report['chosen'])}."
    )


def _chosen(chosen: Mapping[str, Mapping[str, Row]]) -> str:
    def named(row: Row) -> str:
        temperature = row["parameters"].get("temperature")
        return row["score"] if temperature is None else f"{row['score']} at T = {temperature:g}"

    return "; ".join(f"{named(c['auto'])} (alpha {alpha})" for alpha, c in chosen.items())


def _cells(rows: Sequence[Row], shown: Callable[[Row], str]) -> list[str]:
    sizes = list(dict.fromkeys(r["n"] for r in rows))
    expected = {r["n"]: f"{r['expected']:.4f}" for r in rows if "expected" in r}
    at = {(r["score"], r["n"]): r for r in rows}
    body = []
    for score in SCORES:
        found = [at.get((score, n), at.get(("every", n))) for n in sizes]
        body.append(
            [
                LABELS.get(score, score),
                *("" if r is None else "not run" if "skipped" in r else shown(r) for r in found),
            ]
        )
    head = [f"n = {n}" + (f" (law {expected[n]})" if n in expected else "") for n in sizes]
    return table(["score", *head], body)


def _coverage(row: Row) -> str:
    mark = {"above": " (ties)", "under": " (under)", "below": " (BELOW)"}.get(row["verdict"], "")
    own = row.get("coverage_any", row["coverage"])  # the published rule aims at any relevant passage
    if own != row["coverage"]:
        mark += f" (any: {own:.4f})"
    return f"{row['coverage']:.4f} ± {row['standard_error']:.4f}{mark}, {row['mean_passages']:.1f} passages"


def _risk(row: Row) -> str:
    mark = "" if row["verdict"] == "holds" else " (above alpha)"
    lost = f", {row['unattainable']:.0%} of splits without a threshold" if row.get("unattainable") else ""
    return f"risk {row['risk']:.4f} ± {row['standard_error']:.4f}{mark}, {row['mean_passages']:.1f} passages{lost}"


def _part(report: Mapping[str, Any], part: str, made: Callable[[Sequence[Row]], Iterator[str]]) -> list[str]:
    rows = [r for r in report.get(part, []) if "skipped" not in r]
    return list(made(rows)) if rows else []


def _pac(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "",
        "Share of calibration sets with coverage below 1 - alpha, training-conditional rank, delta = 0.05",
        "",
    )
    head = ["score", "alpha", "n", "expected coverage below", "law", "test part below", "law", "passages"]
    yield from table(head, ([*_who(r), *_pac_figures(r)] for r in rows))


def _pac_figures(row: Row) -> list[str]:
    shares = ("below_expected", "below_expected_law", "below_observed", "below_observed_law")
    return [*(f"{row[k]:.4f}" for k in shares), f"{row['mean_passages']:.1f}"]


def _pac_recall(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "",
        "Share of calibration sets with a risk above alpha, Hoeffding-Bentkus bound, delta = 0.05",
        "",
    )
    head = ["score", "alpha", "n", "risk above alpha", "mean risk", "passages", "splits without a threshold"]
    yield from table(
        head,
        (
            [
                *_who(r),
                f"{r['above_alpha']:.4f}",
                f"{r['risk']:.4f}",
                f"{r['mean_passages']:.1f}",
                f"{r['unattainable']:.1%}",
            ]
            for r in rows
        ),
    )


def _shift(rows: Sequence[Row]) -> Iterator[str]:
    yield from (
        "",
        f"Calibrated on half of the {rows[0]['documents']} documents, tested on the others; coverage",
        "",
    )
    head = ["score", "alpha", "by document: mean", "sd", "lowest", "random: mean", "sd", "lowest"]
    yield from table(head, ([*_who(r)[:2], *_spread(r["by_document"]), *_spread(r["random"])] for r in rows))


def _spread(part: Row) -> list[str]:
    return [f"{part[key]:.4f}" for key in ("coverage", "sd", "lowest")]


def _whole(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", "All questions, scores that nothing was chosen for", "")
    yield from table(["score", "alpha", "n", "coverage, passages"], ([*_who(r), _coverage(r)] for r in rows))


def _who(row: Row) -> list[str]:
    name = str(row["score"])
    return [LABELS.get(name, name), f"{row['alpha']:g}", str(row.get("n", ""))]

"""The consistency benchmark's report as tables: Rich ones for a terminal, Markdown for a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from benchmarks.conformal_tables import table as markdown_table

LABELS = {
    "length": "answer length alone",
    "overlap": "word overlap",
    "embedding": "MiniLM, nearest sentence",
    "lexical:min": "lexical aligner, least claim",
    "lexical:mean": "lexical aligner, mean",
    "lexical:share": "lexical aligner, share of claims",
    "lexical:all": "lexical aligner, product",
    "model:three_way": "model alone, entailed",
    "model:binary": "model alone, aligned",
    "model:not_contradicted": "model alone, not contradicted",
    "compat": "model, published profile",
    "aligner:min": "trained aligner, least claim",
    "aligner:mean": "trained aligner, mean",
    "aligner:share": "trained aligner, share of claims",
    "aligner:all": "trained aligner, P(all claims)",
}
_PAIRED = "halueval_qa", "halueval_qa_matched"


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """Yield one Rich table a half: AUC of every row on every set."""
    for half, rows in document["results"].items():
        shown = Table(title=f"AUC-ROC, {half} half", title_justify="left")
        head, body = _auc(document, rows, "")  # intervals would not fit
        for place, name in enumerate([head[0], *rows]):  # the rows' own short names
            shown.add_column(
                name, justify="right" if place else "left", no_wrap=not place, min_width=8, overflow="fold"
            )
        for line in body:
            shown.add_row(*line)
        yield shown


def markdown(document: Mapping[str, Any]) -> str:
    """Return every table, or the reason why nothing was measured."""
    if "skipped" in document:
        return f"{document['skipped']}\n"
    lines = [*_counted(document), ""]
    for half, rows in document["results"].items():
        head, body = _auc(document, rows)
        lines += [f"AUC-ROC, {half} half", "", *markdown_table(head, body), ""]
    taken = [
        [f"{p['row']} ({p['status']})", p["set"], f"{p['auc']:.3f}", p["note"]] for p in document["published"]
    ]
    lines += markdown_table(["published, not computed here", "set", "AUC-ROC", "note"], taken)
    for half, rows in document["results"].items():
        for title, shown in (
            ("Mean over SummEdits, Q2, WiCE and FactCC", _means(rows)),
            ("AUC-ROC less that of the best baseline of the set", _gains(document, rows)),
            ("AUC-ROC on HaluEval QA", _halueval(rows)),
        ):
            lines += ["", f"{title}, {half} half", "", *shown] if shown else []
    return "\n".join(lines) + "\n"


def _auc(
    document: Mapping[str, Any], rows: Mapping[str, Any], around: str = "_interval"
) -> tuple[list[str], list[list[str]]]:
    names = list(rows)
    body = [
        [name, *(_value(rows[row].get(name), "auc", around) for row in names)]
        for name in (*document["sets"], "mean")
        if any(rows[row].get(name) for row in names)
    ]
    return ["set", *(LABELS.get(row, row) for row in names)], body


def _counted(document: Mapping[str, Any]) -> list[str]:
    def cell(counted: Mapping[str, Any] | None) -> str:
        if counted is None:
            return "-"
        return f"{counted['items']} ({counted['supported']} supported), {counted['documents']} documents"

    halves = list(document["results"])
    body = [[name, *(cell(found.get(half)) for half in halves)] for name, found in document["sets"].items()]
    return markdown_table(["set", *halves], body)


def _means(rows: Mapping[str, Any]) -> list[str]:
    kinds = ("auc", "balanced_accuracy_fixed", "balanced_accuracy_shared", "balanced_accuracy_tuned")
    head = ["row", "AUC-ROC", "balanced accuracy, fixed", "one tuned threshold", "one a set"]
    body = [
        [LABELS.get(row, row), *(_value(f["mean"], k) for k in kinds), _span(f["mean"], "auc_gain_interval")]
        for row, f in rows.items()
        if f["mean"]
    ]
    return markdown_table([*head, "AUC less word overlap"], body) if body else []


def _gains(document: Mapping[str, Any], rows: Mapping[str, Any]) -> list[str]:
    """The rows that are no baselines, one column each; nothing where all are."""
    learned = [row for row, found in rows.items() if any(f and "best_baseline" in f for f in found.values())]
    body = []
    for name in (*document["sets"], "mean"):
        figures = [rows[row].get(name) or {} for row in learned]
        if figures and (best := figures[0].get("best_baseline")):  # None for a set with one label alone
            over = f"{LABELS.get(best, best)} ({rows[best][name]['auc']:.3f})"
            body.append([name, over, *map(_gain, figures)])
    head = ["set", "best baseline", *(LABELS.get(row, row) for row in learned)]
    return markdown_table(head, body) if body else []


def _halueval(rows: Mapping[str, Any]) -> list[str]:
    """All answers beside those of matched lengths: what length alone tells is in the first only."""
    body = [
        [LABELS.get(row, row), *(_value(found[name], "auc") for name in _PAIRED)]
        for row, found in rows.items()
        if all(found.get(name) for name in _PAIRED)
    ]
    return markdown_table(["row", "all answers", "as many of each length"], body) if body else []


def _gain(figures: Mapping[str, Any]) -> str:
    return f"{figures['auc_above_best']:+.3f} ({_span(figures, 'auc_above_best_interval')})"


def _span(figures: Mapping[str, Any], kind: str) -> str:
    span = figures.get(kind)
    return f"{span[0]:+.3f} to {span[1]:+.3f}" if span else "-"


def _value(figures: Mapping[str, Any] | None, kind: str, suffix: str = "_interval") -> str:
    if not figures or figures.get(kind) is None:
        return "-"
    around = figures.get(f"{kind}{suffix}") if suffix else None
    return f"{figures[kind]:.3f}" + (f" ({around[0]:.3f}–{around[1]:.3f})" if around else "")

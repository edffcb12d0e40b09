"""An explained answer for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from ragguard.cli.align_items import Asked

_COLOURS = {
    "supported": "green", "contradicted": "red", "conflicting": "red", "not_found": "yellow",
    "unverifiable": "yellow", "nothing_to_check": "yellow",
}  # fmt: skip
_AROUND = 60
_LEAST_SHOWN = 0.05
"""Log-odds below which a contribution is not worth a line."""


def show(console: Console, item: Asked, body: Mapping[str, Any]) -> None:
    """Print every claim with its outcome, its evidence in place, what failed and what the score is made of."""
    for claim in body["claims"]:
        _line(console, _claim_text(item, claim))
        _line(console, _judgement(claim, body["threshold"]))
        for quotation in claim["evidence"]:
            _line(console, _quotation(item, quotation))
        for finding in claim["findings"]:
            colour = {"agrees": "green", "conflicts": "red"}.get(finding["outcome"], "yellow")
            note = f": {finding['note']}" if finding["note"] else ""
            _line(
                console, Text.assemble("  check ", (f"{finding['kind']} {finding['outcome']}", colour), note)
            )
        if claim["contributions"]:
            _line(console, Text(f"  log-odds {_sum(claim['contributions'], body['base'])}", style="dim"))
    _line(console, _whole(body))


def _claim_text(item: Asked, claim: Mapping[str, Any]) -> Text:
    text = Text(claim["text"], style="bold")
    failing = claim["failing"]
    if failing is not None:
        text.stylize("red underline", failing["start"] - claim["start"], failing["end"] - claim["start"])
    return text


def _judgement(claim: Mapping[str, Any], threshold: float) -> Text:
    outcome, failing = claim["outcome"], claim["failing"]
    text = Text.assemble("  ", (outcome, _COLOURS.get(outcome, "")))
    if claim["score"] is not None:
        text.append(f" {claim['score']:.3f} (supported above {threshold:.3f})")
    if claim["note"]:
        text.append(f"; {claim['note']}")
    if failing is not None:
        piece = claim["text"][failing["start"] - claim["start"] : failing["end"] - claim["start"]]
        text.append(f"; fails at {piece!r}")
    return text


def _quotation(item: Asked, quotation: Mapping[str, Any]) -> Text:
    passage = item.passages[quotation["passage"]]
    start, end = quotation["start"], quotation["end"]
    before, after = passage.text[max(0, start - _AROUND) : start], passage.text[end : end + _AROUND]
    score = "" if quotation["score"] is None else f" {quotation['score']:.3f}"
    return Text.assemble(
        f"  evidence {passage.id}[{start}:{end}]{score}: ",
        ("…" if start > _AROUND else "", "dim"),
        (_flat(before), "dim"),
        (_flat(passage.text[start:end]), "reverse"),
        (_flat(after), "dim"),
        ("…" if end + _AROUND < len(passage.text) else "", "dim"),
    )


def _sum(contributions: Mapping[str, float], base: float) -> str:
    ranked = sorted(contributions.items(), key=lambda each: -abs(each[1]))
    shown = [f"{name} {value:+.2f}" for name, value in ranked if abs(value) >= _LEAST_SHOWN]
    total = base + sum(contributions.values())
    return " ".join([f"{total:+.2f} = base {base:+.2f}", *shown])


def _whole(body: Mapping[str, Any]) -> Text:
    outcome = body["outcome"]
    text = Text.assemble("answer: ", (outcome, _COLOURS.get(outcome, "")))
    if body["score"] is not None:
        text.append(f" {body['score']:.3f}, the lowest of {len(body['claims'])}; mean {body['mean']:.3f}")
    if body["p_all_supported"] is not None:
        text.append(f"; P(all supported) {body['p_all_supported']:.3f}")
    return text


def _flat(text: str) -> str:
    """On one line, keeping the blanks at both ends."""
    return "".join(" " if sign.isspace() else sign for sign in text)


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)

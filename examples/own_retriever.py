"""Guard a retriever and a generator of your own; offline, no model.

Run it: python examples/own_retriever.py
"""

from __future__ import annotations

from collections.abc import Sequence

from ragguard import Guard, Passage

METALS = ["copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium"]
FACTS = ["density", "colour", "hardness", "melting point", "price"]
RECORDS = {f"{m}-{f}": f"The {f} of {m} is listed in table {m}-{f}." for m in METALS for f in FACTS}


def retriever(question: str) -> list[Passage]:
    """Return the ten records that share most words with the question."""
    words = set(question.lower().strip("?").split())
    scored = [
        Passage(id=key, text=text, score=len(words & set(text.lower().strip(".").split())) / len(words))
        for key, text in RECORDS.items()
    ]
    return sorted(scored, key=lambda p: -(p.score or 0.0))[:10]


def generator(question: str, passages: Sequence[Passage]) -> str:
    """Quote the best passage, but make up prices."""
    return "It costs 1751 dollars." if "price" in question else passages[0].text


def main() -> None:
    """Calibrate, then ask what the records say, what they do not, and something else."""
    questions = [
        {"id": f"{m}-{f}", "question": f"What is the {f} of {m}?", "relevant": [f"{m}-{f}"]}
        for m in METALS
        for f in FACTS
    ]
    guard = Guard.calibrate(retriever, questions, alpha=0.1, score="gap", serve={"generator": generator})
    for question in (
        "What is the hardness of nickel?",
        "What is the price of nickel?",
        "Who painted the Mona Lisa?",
    ):
        report = guard.answer(question)
        print(
            f"{question}\n  {report.text}\n  {report.action} ({report.reason}), kept {len(report.passages)}"
        )
    certificate = report.certificate()
    print(certificate.statement if certificate else "uncalibrated")


if __name__ == "__main__":
    main()

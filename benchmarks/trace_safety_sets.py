"""The safety data: prompts and completions of five models with human labels, and harmful requests.

Nothing is shipped: a folder is given, and a set that is not in it raises `AbsentDataError`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from benchmarks.question_sets import AbsentDataError

MODELS = ("gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct")
_REQUESTS = ("advbench_behaviors.csv", "harmbench_behaviors_text_val.csv")


@dataclass(frozen=True)
class Completion:
    """What a model answered to a prompt, and whether people judged it to comply in full.

    Attributes:
        model: of `MODELS`.
        prompt: its id; safe and unsafe prompts come in pairs that differ in little.
        unsafe: whether the prompt asks for something harmful.
        text: the answer.
        complies: label "full compliance"; refusals and partial refusals do not.
    """

    model: str
    prompt: str
    unsafe: bool
    text: str
    complies: bool

    @property
    def id(self) -> str:
        """Unique among all completions."""
        return f"{self.model}/{self.prompt}"

    @property
    def fold(self) -> int:
        """0 or 1, by the hash of the prompt's id."""
        return hashlib.sha256(self.prompt.encode()).digest()[0] % 2


def completions(data: Path) -> list[Completion]:
    """Return every completion that complies in full.

    Raises:
        AbsentDataError: a file of it is not there.
    """
    found = []
    for model in MODELS:
        for row in _rows(data / "safety/xstest" / f"xstest_v2_completions_{model}_gpteval.csv"):
            complies = row["final_label"].startswith("1_")
            unsafe = row["type"].startswith("contrast")
            found.append(Completion(model, row["id"], unsafe, row["completion"], complies))
    return [one for one in found if one.complies and one.text.strip()]


def requests(data: Path) -> list[tuple[str, str]]:
    """Return (id, text) of the harmful requests, each text once.

    Raises:
        AbsentDataError: a file of it is not there.
    """
    found: dict[str, str] = {}
    for name in _REQUESTS:
        for row in _rows(data / "safety/harmful_requests" / name):
            found.setdefault(row["Behavior"].strip(), row["BehaviorID"])
    return [(name, text) for text, name in found.items()]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AbsentDataError(f"{path.parent.name}/{path.name} is not in the data folder") from error
    return list(csv.DictReader(io.StringIO(text, newline="")))

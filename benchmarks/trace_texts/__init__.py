"""Texts written for the trace benchmarks: passages to deny, their paraphrases, and what only looks alike.

Everything here is invented, harmless and belongs to the project (Apache-2.0). `paraphrases.jsonl`
pairs a passage with the same message in other words, without a run of six equal words; every third
or so lies in a longer answer (`embedded`). `near_misses.jsonl` holds benign texts about the same
things that do not give the message away. `trusted.jsonl` are public texts that share boilerplate
with both. `ordinary.jsonl` are everyday answers in the same house, about nothing that is denied, and
`benign_rare.jsonl` answers of rare words. `policies.yaml` and `policy_cases.jsonl`
are clauses and answers that conflict with one, or do not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

FOLDER = Path(__file__).parent
Half = Literal["tuning", "test"]


@dataclass(frozen=True)
class Pair:
    id: str
    deny: str
    paraphrase: str
    embedded: bool  # the paraphrase lies between benign sentences


@dataclass(frozen=True)
class NearMiss:
    id: str
    deny_id: str  # the pair whose topic it shares
    text: str


@dataclass(frozen=True)
class Text:
    id: str
    text: str


@dataclass(frozen=True)
class Clause:
    id: str
    text: str
    severity: float
    examples: tuple[str, ...]


@dataclass(frozen=True)
class PolicyCase:
    id: str
    clause: str
    text: str
    conflicts: bool


def pairs() -> list[Pair]:
    return [Pair(**row) for row in _rows("paraphrases.jsonl")]


def near_misses() -> list[NearMiss]:
    return [NearMiss(**row) for row in _rows("near_misses.jsonl")]


def trusted() -> list[Text]:
    return [Text(**row) for row in _rows("trusted.jsonl")]


def ordinary() -> list[Text]:
    return [Text(**row) for row in _rows("ordinary.jsonl")]


def benign_rare() -> list[Text]:
    return [Text(**row) for row in _rows("benign_rare.jsonl")]


def clauses() -> list[Clause]:
    rows = yaml.safe_load((FOLDER / "policies.yaml").read_text(encoding="utf-8"))["clauses"]
    return [Clause(**row | {"examples": tuple(row["examples"])}) for row in rows]


def policy_cases() -> list[PolicyCase]:
    return [PolicyCase(**row) for row in _rows("policy_cases.jsonl")]


def half(key: str) -> Half:
    """The half an item is in: by the hash of its deny passage's, clause's or own id.

    A passage, its paraphrase and its near misses share the key, so that no topic is in both halves.
    """
    return "test" if hashlib.sha256(key.encode()).digest()[0] % 2 else "tuning"


def _rows(name: str) -> list[dict[str, Any]]:
    # Not `splitlines`: it also breaks at characters that JSON leaves as they are.
    lines = (FOLDER / name).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]

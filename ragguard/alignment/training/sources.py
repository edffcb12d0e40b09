"""The data sets read for training, each with its licence and the labels it can give.

Every reader takes the data folder and an rng, and returns examples. A set whose
labels lie on one side only is given its other side here: a model would otherwise
learn the style of the set instead of the relation.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ragguard.alignment.training.examples import (
    CONTRADICTED,
    ENTAILED,
    IGNORE,
    NEUTRAL,
    Example,
    graded,
    two_way,
)
from ragguard.alignment.training.rewrites import reword, shorten
from ragguard.errors import UnreadableFileError

Reader = Callable[[Path, random.Random], list[Example]]
_LABELS = {"entailment": ENTAILED, "neutral": NEUTRAL, "contradiction": CONTRADICTED}


@dataclass(frozen=True, slots=True)
class Source:
    """A data set: where its reader is, under which licence, and whether that lets weights be shared.

    Attributes:
        licensed: True where a licence is stated that covers both text and labels.
    """

    name: str
    licence: str
    licensed: bool
    read: Reader


def training_half(title: str) -> bool:
    """Return whether a SQuAD article is for training; the others serve evaluation, for ever."""
    return hashlib.sha256(title.encode("utf-8")).digest()[0] % 2 == 0


def read_text(path: Path) -> str:
    """Return the text of a file of the training data.

    Raises:
        UnreadableFileError: it is not there, or no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(
            f"cannot read {path.name} of the training data", hint="give the folder that holds it"
        ) from error


def _lines(path: Path) -> list[str]:
    # Not splitlines: texts hold U+2028 and the like, and line-aligned files would shift.
    return [line.removesuffix("\r") for line in read_text(path).removesuffix("\n").split("\n")]


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise UnreadableFileError(
            f"{folder.name} of the training data holds no {pattern}", hint="give the folder that holds it"
        )
    return found


def _table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a tab-separated file without quoting, by column name."""
    lines = _lines(path)
    names = lines[0].split("\t")
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) == len(names):
            yield dict(zip(names, cells, strict=True))


def read_fever(data: Path, _rng: random.Random) -> list[Example]:
    """Return FEVER: whether the evidence supports the claim."""
    folder = data / "train/fever_dev"
    columns = [
        _lines(folder / f"RTE-Fever__processed__dev.{part}") for part in ("raw.input0", "raw.input1", "label")
    ]
    return [
        two_way(_untokenised(source), claim.strip(), aligned=label.strip() == "entailment", origin="fever")
        for source, claim, label in zip(*columns, strict=True)
    ]


def read_counterfactual_snli(data: Path, _rng: random.Random) -> list[Example]:
    """Return SNLI with pairs that people edited until the label changed."""
    rows = _table(data / "train/counterfactual_snli/NLI__all_combined__train.tsv")
    return [
        graded(row["sentence1"], row["sentence2"], _LABELS[row["gold_label"]], origin="counterfactual_snli")
        for row in rows
    ]


def read_conjnli(data: Path, _rng: random.Random) -> list[Example]:
    """Return ConjNLI: what follows from sentences with "and", "or" and "but"."""
    folder = data / "train/conjnli"
    rows = [*_table(folder / "adversarial_train_15k.tsv"), *_table(folder / "conj_dev.tsv")]
    return [
        graded(row["Premise"], row["Hypothesis"], _LABELS[row["Label"]], origin="conjnli")
        for row in rows
        if row["Label"] in _LABELS
    ]


def read_wikifactcheck(data: Path, rng: random.Random) -> list[Example]:
    """Sentences with a contradicting edit; the other side is made: shortened, reworded, mirrored."""
    found = []
    for path in _files(data / "train/wikifactcheck", "*wikifactcheck_english_*.tsv"):
        for row in _table(path):
            true, false = row["sentence"], row["negated"]
            if rng.random() < 0.5:
                true, false = false, true
            found.append(graded(true, false, CONTRADICTED, origin="wikifactcheck"))
            same = reword(shorten(true, rng) or true, rng)
            found.append(graded(true, same, ENTAILED, origin="wikifactcheck: kept"))
    return found


def read_antonyms(data: Path, _rng: random.Random) -> list[Example]:
    """Return SemAntoNeg: sentences with a word or its opposite, negated or not."""
    name = "datasets__antonym-substitution__processed__sem_anto_neg.tsv"
    rows = _table(data / "train/wikifactcheck" / name)
    return [
        two_way(row["premise"], row["hypothesis"], aligned=row["label"] == "0", origin="semantoneg")
        for row in rows
    ]


def read_factcg(data: Path, _rng: random.Random) -> list[Example]:
    """Return FactCG: claims over several sentences of a document, made by machine."""
    found = []
    for name in ("CG2C_doc.json", "CG2C_musique_minhop3_rbt_mnli_failed.json"):
        for row in (json.loads(line) for line in _lines(data / "train/factcg" / name)):
            if row["text_a"].strip():
                aligned = row["orig_label"] == 1
                found.append(two_way(row["text_a"], row["text_b"][0], aligned=aligned, origin="factcg"))
    return found


def read_help(data: Path, _rng: random.Random) -> list[Example]:
    """Return HELP: what follows when "and" and "or" are widened or narrowed."""
    rows = [
        row
        for name in ("and", "or")
        for row in _table(data / f"train/help_monotonicity/leskexppmb_{name}.tsv")
    ]
    return [
        graded(row["ori_sentence"], row["new_sentence"], _LABELS[row["gold_label"]], origin="help")
        for row in rows
    ]


def read_lingnli(data: Path, _rng: random.Random) -> list[Example]:
    """Return LingNLI: premises and hypotheses written with a linguist looking on."""
    rows = [
        json.loads(line) for path in _files(data / "train/lingnli", "train_*.jsonl") for line in _lines(path)
    ]
    return [
        graded(row["premise"], row["hypothesis"], _LABELS[row["label"]], origin="lingnli")
        for row in rows
        if row["label"] in _LABELS
    ]


def read_rte(data: Path, _rng: random.Random) -> list[Example]:
    """Return RTE: whether one sentence follows from another."""
    rows = list(_table(data / "train/rte/train.tsv"))
    return [
        two_way(r["sentence1"], r["sentence2"], aligned=r["label"] == "entailment", origin="rte")
        for r in rows
    ]


def read_covidfact(data: Path, _rng: random.Random) -> list[Example]:
    """Return COVID-Fact: claims and their counter-claims against evidence."""
    rows = list(_table(data / "train/fever_dev/RTE-covidfact__train.tsv"))
    return [
        two_way(r["sentence1"], r["Sentence2"], aligned=r["label"] == "entailment", origin="covidfact")
        for r in rows
    ]


def read_healthver(data: Path, _rng: random.Random) -> list[Example]:
    """Return HealthVer: claims on health against sentences of papers."""
    labels = {"Supports": ENTAILED, "Neutral": NEUTRAL, "Refutes": CONTRADICTED}
    rows = csv.DictReader(_lines(data / "train/healthver_dev/healthver_dev.csv"))
    return [
        graded(r["evidence"], r["claim"], labels[r["label"]], origin="healthver")
        for r in rows
        if r["label"] in labels
    ]


def read_climate_fever(data: Path, _rng: random.Random) -> list[Example]:
    """Return CLIMATE-FEVER: every piece of evidence with its own label."""
    labels = {"SUPPORTS": ENTAILED, "NOT_ENOUGH_INFO": NEUTRAL, "REFUTES": CONTRADICTED}
    found = []
    for line in _lines(data / "train/climate_fever/climate-fever.jsonl"):
        row = json.loads(line)
        for one in row["evidences"]:
            label = labels[one["evidence_label"]]
            found.append(graded(one["evidence"], row["claim"], label, origin="climate_fever"))
    return found


def read_sts(data: Path, _rng: random.Random) -> list[Example]:
    """Similarity of two sentences, 0 to 5, taken to [0, 1]: for the regression head alone."""
    found = []
    for name in ("train", "test"):
        for line in _lines(data / f"train/sts/data__sts__semeval-sts__all__2015.{name}.tsv"):
            cells = line.split("\t")
            if len(cells) == 3 and cells[0]:  # 2012 to 2015 mixed: a few pairs were never scored
                found.append(Example(cells[1], cells[2], IGNORE, IGNORE, float(cells[0]) / 5, origin="sts"))
    return found


def _untokenised(text: str) -> str:
    """FEVER's evidence as people write it: brackets and quotes as marks, no space before a full stop."""
    for old, new in (
        ("-LRB-", "("), ("-RRB-", ")"), ("-LSB-", "["), ("-RSB-", "]"), ("``", '"'), ("''", '"'), (" ,", ","),
        (" .", "."), ("( ", "("), (" )", ")"), (" 's", "'s"), (" ;", ";"), (" :", ":"),
    ):  # fmt: skip
        text = text.replace(old, new)
    return text.strip()


SOURCES: tuple[Source, ...] = (
    Source("fever", "CC BY-SA 3.0", True, read_fever),
    Source("counterfactual_snli", "Apache-2.0; text CC BY-SA", True, read_counterfactual_snli),
    Source("conjnli", "MIT", True, read_conjnli),
    Source("wikifactcheck", "CC BY-SA 4.0", True, read_wikifactcheck),
    Source("semantoneg", "CC BY-SA 4.0", True, read_antonyms),
    Source("factcg", "MIT", True, read_factcg),
    Source("help", "CC BY-SA 4.0", True, read_help),
    Source("lingnli", "none stated", False, read_lingnli),
    Source("rte", "none stated", False, read_rte),
    Source("covidfact", "none stated", False, read_covidfact),
    Source("healthver", "none stated", False, read_healthver),
    Source("climate_fever", "none stated for the labels", False, read_climate_fever),
    Source("sts", "mixed, some not for commerce", False, read_sts),
)

OTHER_LICENCES: dict[str, tuple[str, bool]] = {
    "trecqa": ("none stated", False),
    "retrieval/squad2/dev-v2.0.json": ("CC BY-SA 4.0", True),
    "retrieval/multihop/hotpotqa_train_corpus.json": ("CC BY-SA 4.0", True),
    "retrieval/multihop/musique_train_corpus.json": ("CC BY 4.0", True),
    "retrieval/multihop/2wikimultihopqa_corpus.json": ("Apache-2.0", True),
    "train/factcg/CG2C_doc.json": ("MIT", True),
}
"""(licence, whether one is stated that covers text and labels) of what is read by other means than `SOURCES`."""

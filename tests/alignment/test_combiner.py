"""One score of many features: it never falls where support grows, and no file can make it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragguard.alignment.combiner import Combiner, load_combiner, plain_combiner
from ragguard.alignment.features import NAMES
from ragguard.errors import InvalidValueError, UnreadableFileError

knots = st.lists(st.floats(-12, 12), min_size=2, max_size=5, unique=True).map(sorted)


@st.composite
def combiners(draw: st.DrawFn) -> Combiner:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    places = [draw(knots) for _ in names]
    rises = [draw(st.lists(st.floats(0, 5), min_size=len(k) - 1, max_size=len(k) - 1)) for k in places]
    return Combiner(
        tuple(names),
        tuple(map(tuple, places)),
        tuple(map(tuple, rises)),
        draw(st.floats(-10, 10)),
        {"balanced": 0.5},
    )


rows = st.lists(st.floats(-12, 12), min_size=len(NAMES), max_size=len(NAMES))


@settings(max_examples=200, deadline=None)
@given(combiners(), rows, st.sampled_from(NAMES), st.floats(0, 24))
def test_a_score_never_falls_where_a_feature_rises(
    combiner: Combiner, row: list[float], name: str, more: float
) -> None:
    low = np.array([row])
    high = low.copy()
    high[0, NAMES.index(name)] += more
    assert combiner.scores(high)[0] >= combiner.scores(low)[0]
    assert 0 <= combiner.scores(low)[0] <= 1


@settings(max_examples=50, deadline=None)
@given(combiners(), st.lists(rows, min_size=1, max_size=9))
def test_a_score_does_not_depend_on_the_other_rows(combiner: Combiner, several: list[list[float]]) -> None:
    together = combiner.scores(np.array(several))
    alone = [combiner.scores(np.array([row]))[0] for row in several]
    assert together.tolist() == alone


@settings(max_examples=50, deadline=None)
@given(combiners())
def test_it_survives_its_file(combiner: Combiner) -> None:
    again = Combiner(**_settings(combiner))
    row = np.linspace(-12, 12, len(NAMES))[None]
    assert again.scores(row) == pytest.approx(combiner.scores(row), abs=1e-6)


def _settings(combiner: Combiner) -> dict[str, Any]:
    values = json.loads(combiner.to_json())
    return {
        "names": tuple(values["features"]),
        "knots": tuple(tuple(f["knots"]) for f in values["features"].values()),
        "rises": tuple(tuple(f["rises"]) for f in values["features"].values()),
        "intercept": values["intercept"],
        "thresholds": values["thresholds"],
    }


def test_the_score_is_the_logistic_of_the_contributions() -> None:
    combiner = Combiner(
        ("chunk_entailed", "few_rivals"),
        ((-2.0, 2.0), (-1.0, 0.0)),
        ((4.0,), (1.0,)),
        -3.0,
        {"balanced": 0.5},
    )
    row = np.zeros((1, len(NAMES)))
    assert combiner.contributions(row).tolist() == [[2.0, 1.0]]
    assert combiner.scores(row)[0] == pytest.approx(0.5)


def test_the_plain_one_gives_the_models_own_probability() -> None:
    row = np.zeros((1, len(NAMES)))
    row[0, NAMES.index("chunk_entailed")] = 1.5
    assert plain_combiner().scores(row)[0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_claims_of_one_answer_fail_together_more_than_by_chance() -> None:
    combiner = Combiner(("few_rivals",), ((0.0, 1.0),), ((1.0,),), 0.0, {"balanced": 0.5}, answer_power=0.5)
    assert combiner.all_supported([0.9, 0.4]) == pytest.approx(0.6)
    assert combiner.all_supported([]) == 1.0


def test_a_saved_one_is_read_back_with_the_same_digest(tmp_path: Path) -> None:
    file = tmp_path / "combiner.json"
    file.write_text(plain_combiner().to_json(), encoding="utf-8")
    assert load_combiner(file).digest() == plain_combiner().digest()


def _file(**changed: Any) -> str:
    return json.dumps({**json.loads(plain_combiner().to_json()), **changed})


def _curve(knots: Any, rises: Any, name: str = "chunk_entailed") -> str:
    return _file(features={name: {"knots": knots, "rises": rises}})


HOSTILE = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[]",
    "null": "null",
    "nested too deep": "[" * 100_000,
    "another version": _file(schema_version=2),
    "no version": json.dumps({"features": {}}),
    "no feature": _file(features={}),
    "unknown feature": _curve([0, 1], [1], name="charm"),
    "falling curve": _curve([0, 1], [-0.5]),
    "knots out of order": _curve([1, 0], [1]),
    "equal knots": _curve([1, 1], [1]),
    "missing knot": _curve([0], [1]),
    "one knot, no rise": _curve([0], []),
    "knots as text": _curve("01", [1]),
    "a number as text": _curve([0, "1"], [1]),
    "a truth value": _curve([0, True], [1]),
    "knots as object": _curve({"0": 1}, [1]),
    "NaN knot": _curve([0, float("nan")], [1]),
    "infinite rise": _curve([0, 1], [float("inf")]),
    "huge number": _curve([0, 10**400], [1]),
    "NaN intercept": _file(intercept=float("nan")),
    "no threshold": _file(thresholds={}),
    "another threshold only": _file(thresholds={"strict": 0.9}),
    "negative threshold": _file(thresholds={"balanced": -1.0}),
    "threshold of one": _file(thresholds={"balanced": 1.0}),
    "NaN threshold": _file(thresholds={"balanced": float("nan")}),
    "thresholds as list": _file(thresholds=[0.5]),
    "power above one": _file(answer_power=2),
    "fitted as text": _file(fitted="yes"),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_no_combiner_is_named_and_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "combiner.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"combiner\.json"):
        load_combiner(file)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError):
        load_combiner(tmp_path / "combiner.json")
    (tmp_path / "combiner.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableFileError):
        load_combiner(tmp_path / "combiner.json")


def test_one_made_in_code_is_held_to_the_same() -> None:
    with pytest.raises(InvalidValueError, match="falls"):
        Combiner(("few_rivals",), ((0.0, 1.0),), ((-1.0,),), 0.0, {"balanced": 0.5})
    with pytest.raises(InvalidValueError, match="one curve a feature"):
        Combiner(("few_rivals", "few_rivals"), ((0.0, 1.0),) * 2, ((1.0,),) * 2, 0.0, {"balanced": 0.5})

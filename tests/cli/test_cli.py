"""The command: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ragguard.conformal.calibration import Calibration
from ragguard.guard import Guard
from scripts.report_schema import PATH
from tests.cli.running import Done, command

METALS = ["copper", "silver", "nickel", "cobalt", "tungsten", "titanium", "chromium", "vanadium"]
FACTS = ["density", "colour", "hardness", "melting point", "price"]
RECORDS = {f"{m}-{f}": f"The {f} of {m} is listed in table {m}-{f}." for m in METALS for f in FACTS}
QUESTIONS: list[dict[str, Any]] = [
    {
        "id": f"q {m}-{f}",
        "question": f"What is the {f} of {m}?",
        "relevant": [f"{m}-{f}"],
        "half": "a" if m < "n" else "b",
        "metal": m,
    }
    for m in METALS
    for f in FACTS
]
UNANSWERABLE = [{"id": f"u{i}", "question": q, "relevant": []} for i, q in enumerate(["Who?", "Where?"])]
ASKED = "What is the hardness of nickel?"
REPORTS = jsonschema.Draft202012Validator(json.loads(PATH.read_text(encoding="utf-8")))


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def run() -> Run:
    return command


def write(path: Path, records: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "C.jsonl", [{"id": k, "text": t, "metadata": {"n": 1}} for k, t in RECORDS.items()])
    write(folder / "Q.jsonl", [*QUESTIONS, *UNANSWERABLE])
    return folder


@pytest.fixture(scope="module")
def made(run: Run, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    out = tmp_path_factory.mktemp("made") / "out"
    done = run("calibrate", *corpus_of(data), "--alpha", "0.1", "--out", out, "--json")
    assert done.code == 0, done.err
    return out, done


def corpus_of(data: Path, questions: str = "Q.jsonl") -> list[Any]:
    return ["--corpus", data / "C.jsonl", "--questions", data / questions]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# calibrate and evaluate


def test_calibrating_prints_one_object_and_nothing_else(made: tuple[Path, Done]) -> None:
    out, done = made
    body = done.body
    assert {
        "artifact": str(out),
        "n": 40,
        "n_tuning": 0,
        "n_unanswerable": 2,
        "alpha": 0.1,
        "delta": None,
        "target": "any",
        "score": "softmax",
        "temperature": 0.03,
        "unreachable": 0,
        "groups": {},
    }.items() <= body.items()
    assert 0 <= body["threshold"] <= 1
    assert body["expires"].startswith("20")
    assert done.err == ""
    assert sorted(p.name.split("-")[0] for p in out.iterdir()) == [
        "calibration", "calibration.json", "corpus.json", "index", "questions.jsonl",
    ]  # fmt: skip


def test_what_was_printed_is_what_serves(made: tuple[Path, Done]) -> None:
    out, done = made
    artifact = Calibration.load(out).artifact
    assert (artifact.id, artifact.categories[""].threshold) == (done.body["id"], done.body["threshold"])


def test_evaluating_prints_coverage_and_cost(run: Run, made: tuple[Path, Done], data: Path) -> None:
    out, _ = made
    done = run("evaluate", out, "--questions", data / "Q.jsonl", "--json")
    assert (done.code, done.err) == (0, "")
    body = done.body
    assert {"n": 40, "n_unanswerable": 2, "alpha": 0.1, "delta": None, "target": "any", "score": "softmax",
            "groups": {}}.items() <= body.items()  # fmt: skip
    assert body["abstain_rate"] == 1.0
    low, high = body["coverage_ci"]
    assert low <= body["coverage"] <= high
    assert body["mean_tokens"] > body["mean_passages"] > 0
    guard = Guard.load(out, guards=())
    kept = [
        q["relevant"][0] in {p.id for p in guard.retrieve(q["question"]).turn.passages or ()}
        for q in QUESTIONS
    ]
    assert body["coverage"] == pytest.approx(sum(kept) / len(kept))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"score": "cosine", "target": "all", "alpha": "0.2", "delta": "0.1"},
        {"score": "gap", "target": "recall", "alpha": "0.2"},
        {"score": "ratio", "max-passages": "3", "seed": "7"},
        {"score": "rank", "relevant-scope": "document"},
    ],
)
def test_every_option_reaches_the_calibration(run: Run, data: Path, tmp_path: Path, options: Any) -> None:
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = run("calibrate", *corpus_of(data), "--out", tmp_path / "o", "--no-chunk", *given, "--json")
    assert done.code == 0, done.err
    artifact = Calibration.load(tmp_path / "o").artifact
    assert (artifact.score, artifact.target) == (options["score"], options.get("target", "any"))
    assert artifact.delta == (float(options["delta"]) if "delta" in options else None)
    assert artifact.cap == (3 if "max-passages" in options else None)
    assert artifact.seed == int(options.get("seed", 0))
    assert artifact.informative["fields"]["scope"] == options.get("relevant-scope", "passage")
    assert artifact.fingerprints["index"]["chunking"]["split"] is False


@pytest.mark.slow
def test_two_groups_have_a_threshold_each_from_end_to_end(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    done = run("calibrate", *corpus_of(data), "--group-field", "half", "--cluster-field", "metal",
               "--score", "cosine", "--out", out, "--json")  # fmt: skip
    assert done.code == 0, done.err
    body = done.body
    assert {name: entry["n"] for name, entry in body["groups"].items()} == {"a": 15, "b": 25}
    assert body["threshold"] is None
    assert Calibration.load(out).artifact.n_clusters == 8
    measured = run("evaluate", out, "--questions", data / "Q.jsonl", "--by-cluster", "--json").body
    assert {name: part["n"] for name, part in measured["groups"].items()} == {"a": 15, "b": 25}
    assert measured["ci_method"] == "cluster bootstrap"
    # The questions without an answer have no group either, and are turned away for it.
    assert (measured["n_unseen_group"], measured["n_unanswerable"], measured["abstain_rate"]) == (2, 2, 1.0)
    items = [{"id": g, "question": ASKED, "metadata": {"group": g}} for g in ("a", "b", "c")]
    asked = run("ask", out, "--input", "-", stdin="\n".join(map(json.dumps, items)).encode())
    found = [
        line["certificates"][0]["group"] if line["certificates"] else line["reason"] for line in asked.lines
    ]
    assert found == ["a", "b", "unseen_group"]
    report = tmp_path / "report.jsonl"
    assert run("ask", out, ASKED, "--group", "b", "--output", report).code == 0
    assert json.loads(report.read_text())["certificates"][0]["group"] == "b"


# Without a valid threshold


def test_no_valid_threshold_ends_with_4_and_writes_nothing(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    done = run("calibrate", *corpus_of(data), "--alpha", "0.001", "--out", out, "--json")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("too_few_questions: 40 calibration questions are too few for alpha=0.001")
    assert "999" in done.err
    assert not out.exists()


def misses(data: Path, tmp_path: Path) -> Path:
    """Questions that name another passage than the one that answers them."""
    names = list(RECORDS)
    wrong = [{**q, "relevant": [names[(i + 7) % 40]]} for i, q in enumerate(QUESTIONS)]
    return write(tmp_path / "wrong.jsonl", wrong)


def test_a_target_out_of_reach_ends_with_4_and_writes_nothing(run: Run, data: Path, tmp_path: Path) -> None:
    out, wrong = tmp_path / "o", misses(data, tmp_path)
    done = run("calibrate", "--corpus", data / "C.jsonl", "--questions", wrong, "--depth", 1, "--out", out)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("target_unattainable: ")
    assert not out.exists()


def test_a_failed_calibration_leaves_the_earlier_one_as_it_was(
    run: Run, made: tuple[Path, Done], data: Path, tmp_path: Path
) -> None:
    out, _ = made
    before, wrong = files(out), misses(data, tmp_path)
    other = write(tmp_path / "other.jsonl", [{"id": k, "text": t.upper()} for k, t in RECORDS.items()])
    for corpus, questions, code in [
        (other, wrong, 4),
        (other, tmp_path / "none.jsonl", 2),
        (tmp_path / "no", wrong, 2),
    ]:
        failed = run("calibrate", "--corpus", corpus, "--questions", questions, "--depth", 1, "--out", out)
        assert failed.code == code
        assert files(out) == before
    assert run("evaluate", out, "--questions", data / "Q.jsonl", "--json").code == 0


@pytest.mark.slow
def test_calibrating_again_replaces_index_and_calibration_together(
    run: Run, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    first = run("calibrate", *corpus_of(data), "--out", out, "--json").body
    fewer = write(tmp_path / "few.jsonl", [{"id": k, "text": f"{t} Again."} for k, t in RECORDS.items()])
    second = run("calibrate", "--corpus", fewer, "--questions", data / "Q.jsonl", "--out", out, "--json").body
    assert second["id"] != first["id"]
    assert not (out / ".calibrating").exists()
    report = run("ask", out, ASKED, "--json").body
    assert report["certificates"][0]["status"] == "valid"
    assert report["turn"]["passages"][0]["text"].endswith("Again.")


# Refresh


@pytest.mark.slow
def test_a_changed_corpus_is_refused_until_it_is_refreshed(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert run("calibrate", *corpus_of(data), "--score", "gap", "--out", out, "--json").code == 0
    changed = {**RECORDS, **{f"gold-{i}": f"Gold has the number {i}." for i in range(8)}}
    corpus = write(tmp_path / "new.jsonl", [{"id": k, "text": t} for k, t in changed.items()])
    before = files(out)
    gone = write(tmp_path / "gone.jsonl", [{"id": "gold", "text": "Gold."}])
    failed = run("calibrate", "--refresh", out, "--corpus", gone, "--json")
    assert (failed.code, files(out)) == (2, before), failed.err
    done = run("calibrate", "--refresh", out, "--corpus", corpus, "--json")
    assert done.code == 0, done.err
    assert (done.body["score"], done.body["n"]) == ("gap", 40)
    assert run("ask", out, ASKED, "--json").body["certificates"][0]["status"] == "valid"
    assert len(Guard.load(out, guards=()).corpus.index) == 48  # type: ignore[union-attr]


# Runs


def runs_of(tmp_path: Path, name: str = "R.jsonl", **change: Any) -> Path:
    names = list(RECORDS)
    records = [
        {
            "id": q["id"],
            "question": q["question"],
            "relevant": q["relevant"],
            "results": [
                {"id": q["relevant"][0], "score": 0.9 - i / 100},
                {"id": names[(i + 1) % 40], "score": 0.2},
            ],
            "k": 2,
            "half": q["half"],
            **change,
        }
        for i, q in enumerate(QUESTIONS)
    ]
    return write(tmp_path / name, records)


def test_runs_of_any_retriever_are_calibrated_evaluated_and_served(run: Run, tmp_path: Path) -> None:
    runs, out = runs_of(tmp_path), tmp_path / "o"
    done = run("calibrate", "--runs", runs, "--score", "cosine", "--out", out, "--json")
    assert (done.code, done.err) == (0, "")
    assert (done.body["n"], done.body["unreachable"]) == (40, 0)
    body = run("evaluate", out, "--runs", runs, "--json").body
    assert (body["n"], body["mean_tokens"]) == (40, None)
    assert body["coverage"] >= 0.9
    passages = [
        {"id": "a", "text": RECORDS["nickel-hardness"], "score": 0.95},
        {"id": "b", "text": "No.", "score": 0.1},
    ]
    turn = {"id": 1, "question": ASKED, "passages": passages, "answer": RECORDS["nickel-hardness"]}
    checked = run("check", out, stdin=json.dumps(turn).encode()).body
    assert (checked["id"], checked["certificates"][0]["status"]) == (1, "valid")
    assert [p["id"] for p in checked["turn"]["passages"]] == ["a"]
    refused = run("ask", out, ASKED)
    assert refused.code == 2
    assert "calibrated from runs" in refused.err


def test_runs_with_groups_are_calibrated_by_group(run: Run, tmp_path: Path) -> None:
    done = run(
        "calibrate", "--runs", runs_of(tmp_path), "--group-field", "half", "--out", tmp_path / "o", "--json"
    )
    assert sorted(done.body["groups"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"results": [{"id": "a", "score": float("nan")}]}, "question_set"),
        ({"results": [{"id": "a"}]}, "question_set"),
        ({"k": 0}, "question_set"),
        ({"relevant": None}, "question_set"),
        ({"id": "same"}, "duplicate_id"),
    ],
)
def test_runs_that_cannot_be_used_are_an_error(run: Run, tmp_path: Path, change: Any, code: str) -> None:
    done = run("calibrate", "--runs", runs_of(tmp_path, **change), "--out", tmp_path / "o", "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"{code}: ")
    assert not (tmp_path / "o").exists()


def test_runs_are_not_calibrated_into_a_folder_with_an_index(
    run: Run, made: tuple[Path, Done], tmp_path: Path
) -> None:
    before = files(made[0])
    done = run("calibrate", "--runs", runs_of(tmp_path), "--out", made[0])
    assert (done.code, files(made[0])) == (2, before)


# Bad input


def bad(data: Path, tmp_path: Path) -> dict[str, list[Any]]:
    """Options of `calibrate` with something wrong, by what is wrong; the beginning of the name is the error's code."""
    tmp_path.mkdir(exist_ok=True)
    empty = write(tmp_path / "empty.jsonl", [])
    blank = write(tmp_path / "blank.jsonl", [{"id": "a", "text": "  "}])
    (tmp_path / "not.pdf").write_bytes(b"%PDF-1.7 but no")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "half.jsonl").write_text('{"id": "a", "question"')
    corpus, questions = data / "C.jsonl", data / "Q.jsonl"
    asks = {
        "blank": [{**QUESTIONS[0], "question": "  "}],
        "unknown": [*QUESTIONS, {**QUESTIONS[0], "id": "z", "relevant": ["nowhere"]}],
        "twice": [*QUESTIONS, QUESTIONS[0]],
    }
    asked = {name: write(tmp_path / f"{name}-q.jsonl", records) for name, records in asks.items()}
    return {
        "empty_corpus, no line": ["--corpus", empty, "--questions", questions],
        "empty_corpus, no text": ["--corpus", blank, "--questions", questions],
        "unreadable_file, no such corpus": ["--corpus", tmp_path / "none.jsonl", "--questions", questions],
        "unreadable_file, no pdf": ["--corpus", tmp_path / "not.pdf", "--questions", questions],
        "unreadable_file, binary corpus": ["--corpus", tmp_path / "binary.jsonl", "--questions", questions],
        "unreadable_file, binary questions": ["--corpus", corpus, "--questions", tmp_path / "binary.jsonl"],
        "unreadable_file, a directory": ["--corpus", corpus, "--questions", tmp_path],
        "unreadable_file, no questions": ["--corpus", corpus, "--questions", tmp_path / "none.jsonl"],
        "question_set, half a line": ["--corpus", corpus, "--questions", tmp_path / "half.jsonl"],
        "question_set, no question": ["--corpus", corpus, "--questions", empty],
        "question_set, an empty one": ["--corpus", corpus, "--questions", asked["blank"]],
        "question_set, one twice": ["--corpus", corpus, "--questions", asked["twice"]],
        "question_set, no such field": [*corpus_of(data), "--group-field", "nothing"],
        "unknown_passage": ["--corpus", corpus, "--questions", asked["unknown"]],
        "invalid_value, alpha 0": [*corpus_of(data), "--alpha", "0"],
        "invalid_value, alpha 1": [*corpus_of(data), "--alpha", "1"],
        "invalid_value, alpha 2": [*corpus_of(data), "--alpha", "2"],
        "invalid_value, alpha nan": [*corpus_of(data), "--alpha", "nan"],
        "invalid_value, delta": [*corpus_of(data), "--delta", "1"],
        "invalid_value, tune share": [*corpus_of(data), "--tune-share", "0.9"],
        "invalid_value, cap": [*corpus_of(data), "--max-passages", "0"],
        "invalid_value, depth": [*corpus_of(data), "--depth", "0"],
        "invalid_value, max tokens": [*corpus_of(data), "--max-tokens", "3"],
        "invalid_value, no such embedder": [*corpus_of(data), "--embedder", "no/such-model"],
        "configuration, no corpus": ["--questions", questions],
        "configuration, no questions": ["--corpus", corpus],
        "configuration, two sources": [*corpus_of(data), "--runs", questions],
        "configuration, corpus and runs": ["--corpus", corpus, "--runs", questions],
    }


CASES = [
    "empty_corpus, no line", "empty_corpus, no text", "unreadable_file, no such corpus", "unreadable_file, no pdf",
    "unreadable_file, binary corpus", "unreadable_file, binary questions", "unreadable_file, a directory",
    "unreadable_file, no questions", "question_set, half a line", "question_set, no question",
    "question_set, an empty one", "question_set, one twice", "question_set, no such field", "unknown_passage",
    "invalid_value, alpha 0", "invalid_value, alpha 1", "invalid_value, alpha 2", "invalid_value, alpha nan",
    "invalid_value, delta", "invalid_value, tune share", "invalid_value, cap", "invalid_value, depth",
    "invalid_value, max tokens", "invalid_value, no such embedder", "configuration, no corpus",
    "configuration, no questions", "configuration, two sources", "configuration, corpus and runs",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Run, data: Path, tmp_path: Path, case: str
) -> None:
    out = tmp_path / "o"
    done = run("calibrate", *bad(data, tmp_path / "bad")[case], "--out", out, "--json")
    assert done.err.startswith(f"{case.partition(',')[0]}: "), done.err
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert not out.exists()


def test_every_kind_of_bad_input_is_tried(data: Path, tmp_path: Path) -> None:
    assert list(bad(data, tmp_path)) == CASES


def test_an_output_that_cannot_be_written_is_one_line(run: Run, data: Path, tmp_path: Path) -> None:
    taken = write(tmp_path / "taken", [])
    done = run("calibrate", *corpus_of(data), "--out", taken, "--json")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "options", [["calibrate", "--nope"], ["calibrate", "--alpha", "much"], ["what"], ["ask"]]
)
def test_a_usage_error_ends_with_2(run: Run, options: list[str]) -> None:
    done = run(*options)
    assert (done.code, done.out) == (2, "")


# Damaged folders


@pytest.fixture
def copy(made: tuple[Path, Done], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda f: cut_off(next((f / "index").glob("vectors-*"))), "index_file"),
        (lambda f: cut_off(next((f / "index").glob("passages-*"))), "index_file"),
        (lambda f: cut_off(f / "index" / "manifest.json"), "index_file"),
        (lambda f: cut_off(f / "corpus.json"), "index_file"),
        (lambda f: cut_off(f / "calibration.json"), "artifact_corrupted"),
        (lambda f: cut_off(next(f.glob("calibration-*.npz"))), "artifact_corrupted"),
        (lambda f: alter(f / "calibration.json"), "artifact_corrupted"),
        (lambda f: (f / "calibration.json").write_text('{"kind": "another"}'), "artifact_corrupted"),
        (lambda f: (f / "calibration.json").unlink(), "artifact_corrupted"),
    ],
)
def test_a_damaged_folder_is_refused(run: Run, copy: Path, data: Path, damage: Any, code: str) -> None:
    damage(copy)
    for line in (
        ["evaluate", copy, "--questions", data / "Q.jsonl", "--json"],
        ["ask", copy, ASKED, "--json"],
    ):
        done = run(*line)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"{code}: ")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def alter(path: Path) -> None:
    path.write_text(
        path.read_text(encoding="utf-8").replace('"alpha": 0.1', '"alpha": 0.01'), encoding="utf-8"
    )


# ask, check, info, questions


def test_a_question_is_answered_for_people(run: Run, made: tuple[Path, Done]) -> None:
    done = run("ask", made[0], ASKED)
    assert done.code == 0
    assert done.out.startswith("The hardness of nickel is listed in table nickel-hardness.")
    for word in ("released", "kept 1: nickel-hardness", "certificate valid", "at least 0.9"):
        assert word in done.out


def test_items_are_answered_in_order_and_a_failed_one_is_a_line(run: Run, made: tuple[Path, Done]) -> None:
    lines = [
        json.dumps({"id": "a", "question": ASKED}).encode(),
        b"",
        b"no json zyzzyva",
        b"\xff\xfe",
        json.dumps({"id": 7, "question": "  "}).encode(),
        json.dumps({"id": "c", "question": ["zyzzyva"]}).encode(),
        json.dumps({"id": "d", "question": ASKED, "history": [{"role": "zyzzyva"}]}).encode(),
        json.dumps({"id": "e", "question": ASKED, "metadata": ["zyzzyva"]}).encode(),
        b"[1]",
        json.dumps({"id": "b", "question": "Who painted the Mona Lisa?"}).encode(),
    ]
    done = run("ask", made[0], "--input", "-", stdin=b"\n".join(lines))
    assert (done.code, done.err) == (3, "")
    assert [line["id"] for line in done.lines] == [
        "a", "stdin, line 3", "stdin, line 4", 7, "c", "d", "e", "stdin, line 9", "b",
    ]  # fmt: skip
    failed = [line for line in done.lines if "error" in line]
    assert [line["error"]["code"] for line in failed] == [
        "data", "data", "invalid_value", "question_set", "question_set", "question_set", "data",
    ]  # fmt: skip
    assert all(set(line) == {"id", "error"} and set(line["error"]) == {"code", "message"} for line in failed)
    assert "zyzzyva" not in json.dumps(failed)
    for line in done.lines:
        if "error" not in line:
            REPORTS.validate({key: value for key, value in line.items() if key != "id"})
    assert (done.lines[0]["action"], done.lines[-1]["action"]) == ("pass", "abstain")


def test_items_come_from_a_file_and_go_to_a_file(run: Run, made: tuple[Path, Done], tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.jsonl", [{"id": 1, "question": ASKED}]), tmp_path / "out.jsonl"
    done = run("ask", made[0], "--input", source, "--output", target)
    assert (done.code, done.out) == (0, "")
    assert json.loads(target.read_text())["id"] == 1
    assert run("ask", made[0], "--input", tmp_path / "none.jsonl", "--output", target).code == 2
    assert json.loads(target.read_text())["id"] == 1, "a missing input empties no output"
    again = run("ask", made[0], "--input", source, "--output", source)
    assert (again.code, json.loads(source.read_text())["action"]) == (0, "pass")


def test_turns_made_elsewhere_are_checked(run: Run, made: tuple[Path, Done]) -> None:
    answer = RECORDS["nickel-hardness"]
    retrieved = run("check", made[0], stdin=json.dumps({"id": 0, "question": ASKED}).encode()).body
    turns = [
        {**retrieved["turn"], "id": 1, "answer": answer},
        {**retrieved["turn"], "id": 2, "answer": "Elephants are pink."},
        {"id": 3, "question": ASKED, "passages": [{"id": "x", "text": answer}], "answer": answer},
        {"id": 4, "question": ASKED, "nothing": "like it"},
        {
            "id": 5,
            "question": ASKED,
            "passages": [{"id": "x", "text": answer, "score": 1e308}],
            "answer": answer,
        },
        {"id": 6, "question": ASKED, "passages": [{"id": "x", "text": answer, "score": 0}], "answer": ""},
    ]
    text = "\n".join(map(json.dumps, turns)).replace("1e+308", "1e999")
    done = run("check", made[0], "--json", stdin=text.encode())
    assert done.code == 3
    assert "Infinity" not in done.out
    assert [line.get("action") for line in done.lines] == [
        "pass",
        "refuse",
        "pass",
        None,
        "refuse",
        "abstain",
    ]
    assert [line["certificates"][0]["status"] for line in done.lines[:3]] == ["valid", "valid", "none"]
    assert done.lines[3]["error"]["code"] == "question_set"


def test_settings_are_read_from_a_file(run: Run, made: tuple[Path, Done], tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text("generator: extractive\nmessages: {no_evidence: Ask the library.}\n", encoding="utf-8")
    done = run("ask", made[0], "Who painted the Mona Lisa?", "--json", "--config", config)
    assert done.body["text"] == "Ask the library."
    config.write_text("generator: nobody\n", encoding="utf-8")
    assert run("ask", made[0], ASKED, "--config", config).err.startswith("unknown_name: ")
    config.write_text("alpha: 0.5\n", encoding="utf-8")
    assert run("ask", made[0], ASKED, "--config", config).err.startswith("configuration: ")


def test_info_tells_what_is_installed_and_what_is_promised(run: Run, made: tuple[Path, Done]) -> None:
    installed = run("info", "--json").body
    assert "consistency" in installed["ragguard.guards"]
    promise = run("info", made[0], "--json").body
    assert (promise["id"], promise["alpha"], promise["expired"]) == (made[1].body["id"], 0.1, False)
    assert "at least 0.9" in promise["statement"]
    assert run("info", made[0]).out.strip()


def test_a_question_set_is_validated(run: Run, data: Path, tmp_path: Path) -> None:
    done = run("questions", "validate", data / "Q.jsonl", "--corpus", data / "C.jsonl", "--json")
    assert (done.code, done.body["usable"], done.body["questions"]) == (0, True, 42)
    unknown = write(tmp_path / "q.jsonl", [{"id": "q", "question": "What?", "relevant": ["nowhere"]}])
    body = run("questions", "validate", unknown, "--corpus", data / "C.jsonl", "--json").body
    assert (body["usable"], body["unknown"]) == (False, {"q": ["nowhere"]})


# As a process of its own


def test_help_loads_no_model_library() -> None:
    source = (
        "import sys; from ragguard.cli import main; sys.argv = ['ragguard', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'faiss', 'sentence_transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert "calibrate" in done.stdout


def test_the_command_ends_with_the_errors_code_and_no_traceback(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("ragguard")
    for folder, code in [(tmp_path, "artifact_corrupted"), (tmp_path / "none", "artifact_corrupted")]:
        done = subprocess.run([command, "info", folder, "--json"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{code}: ")
        assert "Traceback" not in done.stderr

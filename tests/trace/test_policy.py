"""Policy files: what is read, and what a hostile one cannot do."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from ragguard.errors import DuplicateIdError, IndexFileError, UnreadableFileError
from ragguard.trace.policy import (
    FILE_NAME,
    MOST_BYTES,
    PolicyClause,
    load_policy,
    policy_documents,
    store_policy,
    stored_policy,
)

CANARY = "zyzzogeton7391"


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_clauses_are_read_with_their_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "clauses:\n- {id: cash, text: We take no cash.}\n"
        "- id: dose\n  text: We name no dose.\n  severity: 0.5\n  examples: [Take two tablets.]\n",
    )
    assert load_policy(path) == (
        PolicyClause("cash", "We take no cash."),
        PolicyClause("dose", "We name no dose.", 0.5, ("Take two tablets.",)),
    )


def test_a_bare_list_of_clauses_will_do(tmp_path: Path) -> None:
    assert load_policy(written(tmp_path, "- {id: a, text: b}\n"))[0].id == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "clauses: []",
        "a: 1",
        "- {id: a}",
        "- {text: b}",
        "- {id: '', text: b}",
        "- {id: a, text: ' '}",
        "- {id: 3, text: b}",
        "- {id: a, text: b, severity: 0}",
        "- {id: a, text: b, severity: 1.1}",
        "- {id: a, text: b, severity: .nan}",
        "- {id: a, text: b, severity: true}",
        "- {id: a, text: b, examples: c}",
        "- {id: a, text: b, examples: ['']}",
        "- {id: a, text: b, weight: 2}",
        "- a",
        "clauses: [",
        "{" * 5000,
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_a_malformed_policy_is_a_typed_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFileError):
        load_policy(written(tmp_path, text))


def test_aliases_are_not_read(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)
    )
    with pytest.raises(UnreadableFileError, match="not plain YAML"):
        load_policy(written(tmp_path, bomb))


def test_a_file_larger_than_any_policy_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="larger"):
        load_policy(written(tmp_path, "- {id: a, text: b}\n" + "#" * MOST_BYTES))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"nowhere\.yaml"):
        load_policy(tmp_path / "nowhere.yaml")


def test_two_clauses_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DuplicateIdError, match="'a'"):
        load_policy(written(tmp_path, "- {id: a, text: b}\n- {id: a, text: c}\n"))


@pytest.mark.parametrize("text", [f"a: [{CANARY}", f"- {{id: a, text: b, {CANARY}: 1}}", f"? {CANARY}"])
def test_no_error_quotes_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        load_policy(written(tmp_path, text))
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__cause__)
    assert CANARY not in shown


def test_stored_clauses_come_back(tmp_path: Path) -> None:
    clauses = (PolicyClause("a", "Ü b", 0.5, ("c",)), PolicyClause("d", "e"))
    store_policy(tmp_path, clauses)
    assert stored_policy(tmp_path) == clauses
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]


def test_no_stored_clauses_are_none(tmp_path: Path) -> None:
    assert stored_policy(tmp_path) is None


def test_altered_stored_clauses_are_noticed(tmp_path: Path) -> None:
    path = store_policy(tmp_path, (PolicyClause("a", "Pets stay out."),))
    path.write_text(path.read_text(encoding="utf-8").replace("out", "in "), encoding="utf-8")
    with pytest.raises(IndexFileError):
        stored_policy(tmp_path)


def test_clauses_become_documents_under_their_ids() -> None:
    (document,) = policy_documents((PolicyClause("a", "b", 0.5, ("c",)),))
    assert (document.id, document.text) == ("a", "b")

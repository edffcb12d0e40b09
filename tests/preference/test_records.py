from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ragguard.errors import DataError, InvalidValueError, UnknownNameError, UnreadableFileError
from ragguard.preference.records import (
    PreferenceExample,
    of_one_reader,
    read_examples,
    read_questions,
    write_examples,
    write_lines,
)

SECRET = "zyzzogeton7391"


def example(**changed: object) -> PreferenceExample:
    fields: dict[str, object] = {
        "query_id": "q1",
        "query": "Who?",
        "passage_id": "p1",
        "passage": "She did.",
        "category": "aligned",
        "gain": 1.0,
        "reader": "reader-a",
    }
    return PreferenceExample.model_validate({**fields, **changed})


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1),
    st.floats(-1, 1).filter(lambda g: g != 0),
)
def test_examples_read_back_as_they_were_written(text: str, gain: float) -> None:
    one = example(passage=text, query=text, gain=gain, category="aligned" if gain > 0 else "unaligned")
    assert PreferenceExample.model_validate_json(one.model_dump_json()) == one


def test_a_file_reads_back_in_order(tmp_path: Path) -> None:
    written = [example(passage_id=f"p{i}", passage="line\u2028end", rank=i + 1) for i in range(3)]
    assert write_examples(tmp_path / "new" / "x.jsonl", written) == 3
    assert read_examples(tmp_path / "new" / "x.jsonl") == written


@pytest.mark.parametrize(
    "changed",
    [
        {"gain": float("nan")},
        {"gain": 1.5},
        {"gain": -1.0},
        {"gain": 0.0},
        {"category": "unaligned"},
        {"category": "helpful"},
        {"reader": ""},
        {"weight": 0.0},
        {"rank": 0},
        {"n": 0},
        {"extra": 1},
    ],
)
def test_an_example_that_contradicts_itself_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        example(**changed)


def test_two_readers_are_never_mixed_unasked(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_examples(path, [example(), example(reader="reader-b")])
    with pytest.raises(InvalidValueError, match=r"reader-a, reader-b"):
        read_examples(path)
    assert [e.reader for e in read_examples(path, reader="reader-b")] == ["reader-b"]
    with pytest.raises(UnknownNameError):
        read_examples(path, reader="reader-c")
    assert of_one_reader([]) == []


@pytest.mark.parametrize(
    "line", ["{", "[]", f'{{"query": "{SECRET}", "{SECRET}": 1}}', '{"gain": NaN}', f'"{SECRET}"']
)
def test_a_malformed_line_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(example().model_dump_json() + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"x\.jsonl, line 2") as caught:
        read_examples(path)
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="none"):
        read_examples(tmp_path / "none.jsonl")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_lines(path, ["old"])

    def lines() -> object:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_lines(path, lines())  # type: ignore[arg-type]
    assert path.read_text(encoding="utf-8") == "old\n"
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"]


def test_questions_are_read_with_one_answer_or_several(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"id": 1, "question": "Who?", "answer": "She"}\n'
        '{"id": "b", "text": "When?", "answers": ["2007", "in 2007"]}\n',
        encoding="utf-8",
    )
    assert [(q.id, q.text, q.answers) for q in read_questions(path)] == [
        ("1", "Who?", ("She",)),
        ("b", "When?", ("2007", "in 2007")),
    ]


@pytest.mark.parametrize(
    "content", ["", '{"id": "a", "question": "Q", "answer": "x"}\n' * 2, '{"id": "a", "question": "Q"}\n']
)
def test_question_files_that_cannot_be_used_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError):
        read_questions(path)

from __future__ import annotations

from pathlib import Path

from tests.plugins.brief import LONGER, function_of, read_names, unknown

ROOT = Path(__file__).resolve().parents[2]


def test_parameters_are_no_part_of_a_name() -> None:
    assert function_of("tests/a.py::test_b[x[0]::y]") == "tests/a.py::test_b"
    assert function_of("tests/a.py::TestA::test_b") == "tests/a.py::TestA::test_b"


def test_a_name_without_its_test_is_found_where_its_file_was_collected() -> None:
    names = ["tests/a.py::test_here", "tests/a.py::test_gone", "tests/b.py::test_elsewhere"]
    assert unknown(names, ["tests/a.py::test_here[1]", "tests/a.py::test_here[2]"]) == [
        "tests/a.py::test_gone"
    ]


def test_the_list_names_files_that_are_there_each_test_once() -> None:
    names = read_names(LONGER)
    assert len(names) == len(set(names)) > 0
    assert [name for name in names if not (ROOT / name.partition("::")[0]).is_file()] == []

"""JSON lines, read strictly: what is wrong is named by file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ragguard.errors import DataError, UnreadableFileError


def read_text(path: Path) -> str:
    """Return the file's characters as they are, without a byte order mark.

    Raises:
        UnreadableFileError: it is missing, or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path.name}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"{path.name} is not UTF-8 (byte {error.start})", hint="convert it to UTF-8"
        ) from error


def read_json_lines(
    path: Path, *, error: type[DataError] = UnreadableFileError
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object); blank lines are passed over.

    Args:
        path: a UTF-8 file.
        error: raised for a malformed line.

    Raises:
        UnreadableFileError: the file is missing, or not UTF-8.
    """
    # Not splitlines(): JSON may hold U+2028 and other line ends unescaped.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, json_object(line, where=f"{path.name}, line {number}", error=error)


def json_object(line: str, *, where: str, error: type[DataError]) -> dict[str, Any]:
    """Return the object that one line of JSON holds.

    Raises:
        DataError: of the given class, when the line is not one JSON object.
    """
    try:
        value = json.loads(line, parse_constant=_refuse)
        # What cannot be written as UTF-8 (an unpaired surrogate) would fail much later.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as problem:
        raise error(
            f"{where}: not valid JSON ({type(problem).__name__})", hint="one object a line"
        ) from problem
    if not isinstance(value, dict):
        raise error(f"{where}: a {type(value).__name__}, not an object", hint="one object a line")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def identifier(value: Any, *, where: str, error: type[DataError]) -> str:
    """Return an id as a string; whole numbers are taken as their digits.

    Raises:
        DataError: of the given class, when it is empty or anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise error(f"{where}: the id must be a non-empty string", hint='e.g. {"id": "a1", ...}')
    return value

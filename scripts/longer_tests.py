"""Write tests/longer.txt anew: the tests that `make check` leaves to `make test`.

Usage: python -m pytest tests integrations --junitxml times.xml && python scripts/longer_tests.py times.xml

Times are of one worker on a quiet machine. A parametrised test is named when its longest case is long.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 0.15
HEAD = f"# Tests of more than about {SECONDS} seconds: `make check` leaves them to `make test`.\n"


def times(report: Path) -> Iterator[tuple[str, float]]:
    """Yield each case's test, as pytest names it without parameters, and its seconds."""
    for case in ET.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        for end in range(len(parts), 0, -1):
            path = Path(*parts[:end]).with_suffix(".py")
            if (ROOT / path).is_file():
                name = case.get("name", "").partition("[")[0]
                yield "::".join([path.as_posix(), *parts[end:], name]), float(case.get("time", 0.0))
                break


def main() -> None:
    """Write the list, sorted."""
    longer = sorted({name for name, seconds in times(Path(sys.argv[1])) if seconds > SECONDS})
    (ROOT / "tests" / "longer.txt").write_text(
        HEAD + "".join(f"{name}\n" for name in longer), encoding="utf-8"
    )


if __name__ == "__main__":
    main()

"""Write the JSON Schema of the Report, the one that other programs read.

Usage: python scripts/report_schema.py

It describes what ragguard writes, so every field is present. A change that a
reader of the old schema could not take needs a new `REPORT_SCHEMA_VERSION`, and
with it a new file beside this one; the old file stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ragguard
from ragguard.types import REPORT_SCHEMA_VERSION, Report

PATH = Path(ragguard.__file__).parent / "schemas" / f"report-{REPORT_SCHEMA_VERSION}.json"


def report_schema() -> dict[str, Any]:
    """The schema as data."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:ragguard:report:{REPORT_SCHEMA_VERSION}",
        **Report.model_json_schema(mode="serialization"),
    }
    return json.loads(json.dumps(schema), object_hook=_without_defaults)  # type: ignore[no-any-return]


def _without_defaults(node: dict[str, Any]) -> dict[str, Any]:
    # Only newer pydantic writes out this default of JSON Schema; the file must not tell them apart.
    return {key: value for key, value in node.items() if (key, value) != ("additionalProperties", True)}


def main() -> None:
    """Write the file."""
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(report_schema(), indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

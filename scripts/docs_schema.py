"""MkDocs hook: the report's JSON Schema becomes a file of the site, beside the page about it."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SCHEMAS = Path(__file__).resolve().parents[1] / "ragguard" / "schemas"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every published schema under reference/."""
    for path in sorted(SCHEMAS.glob("*.json")):
        files.append(File.generated(config, f"reference/{path.name}", abs_src_path=str(path)))
    return files

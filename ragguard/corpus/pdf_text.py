"""The text of a PDF's pages."""

from __future__ import annotations

import io

from ragguard.errors import UnreadableFileError

_HEADER_WITHIN = 1024


def pdf_text(content: bytes, *, name: str) -> tuple[str, list[list[int]]]:
    """Return (text, pages): the pages' text two line breaks apart, and [start, end] of each.

    Raises:
        UnreadableFileError: not a PDF, damaged, or encrypted; `name` is in the message.
    """
    import pypdf

    if b"%PDF-" not in content[:_HEADER_WITHIN]:
        raise UnreadableFileError(f"{name} is not a PDF", hint="check what the file is")
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableFileError(f"{name} is encrypted", hint="save it without a password")
        texts = [page.extract_text() for page in reader.pages]
    except UnreadableFileError:
        raise
    except Exception as error:  # a damaged file makes pypdf raise nearly anything
        raise UnreadableFileError(
            f"{name} is damaged ({type(error).__name__})", hint="repair it, or extract its text"
        ) from error
    return _joined([text.encode("utf-8", "replace").decode() for text in texts])


def _joined(texts: list[str]) -> tuple[str, list[list[int]]]:
    pages: list[list[int]] = []
    start = 0
    for text in texts:
        pages.append([start, start + len(text)])
        start += len(text) + 2
    return "\n\n".join(texts), pages

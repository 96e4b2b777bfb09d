"""Text of files whose encoding nothing states, or states wrongly."""

from __future__ import annotations

_REPLACEMENT = "\ufffd"  # what stands where a program could not read a letter


def decoded(text: str) -> str:
    """Return text as it was written.

    Bytes that are not UTF-8, which OGR hands on as they are, are read as Windows-1252, the code
    page of most old shapefiles. UTF-8 that OGR took for another code page, as a .dbf states it
    that nobody asked, is read as UTF-8: no language has such pairs of letters.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _from_code_page(text.encode("utf-8", "surrogateescape"))
    for code_page in ("cp1252", "latin-1"):
        try:
            return text.encode(code_page).decode()
        except UnicodeError:
            continue
    return text


def _from_code_page(raw: bytes) -> str:
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing there
        return raw.decode("latin-1")


def is_damaged(text: str) -> bool:
    """Return whether letters of a text were lost before it came here."""
    return _REPLACEMENT in text
